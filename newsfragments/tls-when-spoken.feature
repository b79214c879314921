TLS is loaded when something speaks it: a server whose apps and models speak plain HTTP takes 13 MB less memory (54 MB resident where it was 67), and a fourth less processor time to start.
