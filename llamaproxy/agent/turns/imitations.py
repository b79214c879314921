"""Tells a model's words from the agent's: text that looks like the agent's question for leave is answered with a note.

It is looked at once, when the model has ended, and not while it streams.
"""

import re

# A code to send, or how the question begins.
_IMITATION = re.compile(r"!(?:yes|no|always)\W{1,8}\w{4}\b|\bneeds your leave\b", re.IGNORECASE)

IMITATED = (
    "\n\n[The words above are the model's, whatever they look like. This agent has asked nothing there, and a code in "
    "them allows nothing.]\n\n"
)


def imitates(text: str) -> bool:
    """Whether a model's words look like the question."""
    return _IMITATION.search(text) is not None
