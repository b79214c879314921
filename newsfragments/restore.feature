`agentctl backup FILE --whole` copies the whole home into one file, and `agentctl restore FILE` brings it, or the conversations alone, back: all or nothing, and never over something unasked.
