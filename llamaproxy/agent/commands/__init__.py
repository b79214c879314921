"""Commands: lines that begin with `!`, answered by the agent itself and never seen by a model or the history.

A command is a coroutine function in one of this room's modules, put into the table by `@command`; what it may do is
what its `Call` offers.
"""
