A streaming app that waits for the first word, for its turn or for a tool hears a sign of life every `heartbeat` seconds (default 8), so that it does not give up.
