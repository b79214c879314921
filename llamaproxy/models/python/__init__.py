"""Agents written in Python behind `IModel`: each has a thread of its own, and never runs on the reactor's."""
