"""The seams: the values, errors and interfaces that cross walls. Imports nothing of ours, and does nothing."""
