"""What a model wrote as the arguments of a call, read kindly; what their tool makes of them is in `terms.py`."""

from typing import Any

from ...seams.arguments import read_arguments


class BadArguments(Exception):
    """The arguments of a call are not what the tool takes; the message is for the model."""


class BrokenSchema(Exception):
    """The schema of a tool is none; the message is for the operator."""


def decoded(text: str) -> dict[str, Any]:
    """The object that a model wrote. Raises `BadArguments`."""
    try:
        return read_arguments(text)
    except ValueError as error:
        raise BadArguments(str(error)) from None
