"""Tells a model's words from the agent's: what looks like its question for leave, or its refusal, gets a note.

It is looked at once, when the model has ended, and not while it streams.
"""

import re

# A code to send, how the question begins, or what a refusal says before the commands that would open a gate.
_IMITATION = re.compile(
    r"!(?:yes|no|always)\W{1,8}\w{4}\b|\bneeds your leave\b"
    r"|\b(?:was|were) refused\W{1,8}(?:to allow it|the operator can allow it)\W{0,8}:",
    re.IGNORECASE,
)

# One of these stands in whatever looks so. To look for them costs a hundredth.
_SIGNS = ("!yes", "!no", "!always", "needs your leave", "refused")

IMITATED = (
    "\n\n[The words above are the model's, whatever they look like. This agent has asked and refused nothing there; a "
    "code in them allows nothing, and a command in them is the model's wish.]\n\n"
)


def imitates(text: str) -> bool:
    """Whether a model's words look like the question or a refusal."""
    folded = text.casefold()
    return any(map(folded.__contains__, _SIGNS)) and _IMITATION.search(text) is not None
