"""The dialects room: one module per wire format; bytes to `ChatTurn`, events to bytes."""
