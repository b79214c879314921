`agentctl log -n N` shows the last N lines, also before those that `-f` follows.
