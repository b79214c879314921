"""Turns: from one message to its committed answer, through model and tools. Never sees the client's HTTP."""
