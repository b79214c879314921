"""The forms in which models write tool calls as text: a table of them, and how each is read.

Nothing here knows of streams; what is held back of one, and when, is `written`'s.
"""
