"""The web room: HTTP in, HTTP out, and who may come in."""
