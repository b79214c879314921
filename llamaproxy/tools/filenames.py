"""Names of files that are no plain text: other charsets, line ends, marks that turn the writing around.

They are shown with escapes like `\\n` and `\\xff`, so that a line holds one name and every program takes it, and can be
given so as well.
"""

import os
import re

_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|[nrt\\])")
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}
_LONG = {character: code for code, character in _SHORT.items()}


def shown(name: str) -> str:
    """A name as it can be shown, and given again."""
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(map(_escaped, name))


def _escaped(character: str) -> str:
    code = ord(character)
    if character in _LONG:
        return f"\\{_LONG[character]}"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # what is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def given(name: str) -> str:
    """The name that was given as `shown` shows it; "" if no file can have it."""
    meant = _ESCAPE.sub(_unescaped, name)
    try:
        os.fsencode(meant)
    except UnicodeEncodeError:
        return ""
    return "" if "\0" in meant or "/" in meant or meant in (".", "..") else meant


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if code[0] == "x":
        return os.fsdecode(bytes([int(code[1:], 16)]))
    return chr(int(code[1:], 16)) if code[0] in "uU" else _SHORT[code]
