A chat page at `/chat` for phones without an app, and `agentctl qr` with its address.
