With `gate_mode: ask`, a tool call that needs leave is asked about in the chat: the turn waits, over a restart too, and `!yes`, `!always` or `!no` with its code carries it on.
