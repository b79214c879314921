"""Sockets: what Twisted's transports do not offer, and the only place that looks into one. Knows no HTTP."""
