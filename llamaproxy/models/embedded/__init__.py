"""The embedded model: weights on this machine, run by llama.cpp in a child process that is watched and restarted."""
