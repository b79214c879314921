"""Programs that break things while people talk, and count what was lost: run from a checkout, as `make chaos-nodes`."""
