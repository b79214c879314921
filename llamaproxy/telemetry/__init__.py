"""Tells tracing systems of turns that are over, as OpenTelemetry spans; loaded only where somebody wants them."""
