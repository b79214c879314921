`make soak` works the server steadily for an hour, with failures, clients that leave and commands, and says whether memory, descriptors and threads stay flat and every answered turn is stored once.
