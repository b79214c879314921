r"""Text of others as it is, and nothing but text: what acts on a terminal, a log or the eye is shown by its number.

Escape sequences (ESC, the C1 controls) write over what stands in a terminal, line ends make a second entry of a log,
and signs without width or with a direction of their own have people read what is not there.
"""

import re

_ACTING = (
    r"\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    r"\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_ANY = re.compile(f"[{_ACTING}]")
# Of these what moves the cursor, or the order of what is read.
_MOVING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e0fff]"
)
_PASSWORD = re.compile(r"(://[^\s/:@]{0,200}:)[^\s/]*@")


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with such signs as `\x1b` and `\u202e`.

    With `lines` it may have several, and spaces and signs of all kinds that only look as they do.
    """
    if text.isascii() and text.isprintable():
        return text
    return (_MOVING if lines else _ANY).sub(_number, text)


def discreet(text: str) -> str:
    """The text without the passwords of the URLs in it."""
    return _PASSWORD.sub(r"\1***@", text) if "@" in text else text


def _number(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
