Models of type `AGENT` are other agents behind an HTTP API of their own: turns, gates by a stored policy, cancelling.
