"""Measures the server against its promises and its peers: `python -m benchmarks [NAME]`; never a timed test."""
