"""The benchmarks: one command each, every one prints a table; never a test."""
