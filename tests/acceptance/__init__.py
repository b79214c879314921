"""The promises that only a real server can show: a child process, real sockets, real signals, a scripted model."""
