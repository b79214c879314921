"""Keeps the key of a model's server out of everything that is told: the server has seen it, and may send it back."""

from ...seams.errors import ModelError

# A key shorter than this is not hidden from a server's words: it would blank out parts of them by chance.
MIN_SECRET = 8

_HIDDEN = "***"


def hidden(text: str, key: str) -> str:
    """The text without the key, and without the beginning of it where the text was cut."""
    for end in range(len(key), MIN_SECRET - 1, -1):
        text = text.replace(key[:end], _HIDDEN)
    return text


def hide(error: ModelError, key: str) -> None:
    """Takes the key out of all that an error says."""
    error.args = tuple(hidden(part, key) if isinstance(part, str) else part for part in error.args)
    error.said = hidden(error.said, key)
