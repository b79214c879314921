Chats, users and API keys that share an address have sessions of their own; `!whoami` tells which one and why.
