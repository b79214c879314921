Anthropic's messages are spoken, too: apps and libraries for Claude talk to the same session at `/v1/messages`.
