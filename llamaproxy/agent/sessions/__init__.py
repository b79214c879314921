"""Sessions: who talks here, what was said, and which turn has the session to itself. Never asks a model."""
