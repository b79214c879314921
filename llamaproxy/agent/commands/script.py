"""Reads a message: which lines of it are commands, what is left as a prompt, and for which model."""

import re
from itertools import islice

from msgspec import Struct

SIGIL = "!"
SWITCH = "@"
# Of one message. A pasted text whose lines happen to begin with `!` runs nothing.
MAX_COMMANDS = 20

_COMMAND_LINE = re.compile(rf"\n[^\S\n]*{SIGIL}(.*)")


class Invocation(Struct, frozen=True):
    """One command of a message: its name in lower case without the sigil, and all the rest as its argument."""

    name: str
    argument: str


class TooManyCommands(Exception):
    """The message has more command lines than anyone means to send; it says so itself."""


class Script(Struct, frozen=True, kw_only=True):
    """A message taken apart. `model` is the key of a one-turn switch (`@key text`), None without one."""

    commands: tuple[Invocation, ...] = ()
    prompt: str = ""
    model: str | None = None


def read(text: str) -> Script:
    """Takes a message apart, at no cost per line however long it is.

    Two or more lines that begin with `!` are commands, and the other lines together are the prompt. Otherwise
    the message is one command, newlines and all, if it begins with `!`; a lone command line further down is
    part of the prompt. Raises `TooManyCommands`.
    """
    text = text.strip()
    lines = f"\n{text}"
    found = list(islice(_COMMAND_LINE.finditer(lines), MAX_COMMANDS + 1))
    if len(found) > MAX_COMMANDS:
        raise TooManyCommands(
            f"More than {MAX_COMMANDS} lines of this message begin with {SIGIL}, too many for commands. "
            "Nothing was run or passed on; send fewer at a time, or put another character before them."
        )
    if len(found) >= 2:
        commands = tuple(_invocation(line[1]) for line in found)
        text = _COMMAND_LINE.sub("", lines).strip()
    elif text.startswith(SIGIL):
        return Script(commands=(_invocation(text[1:]),))
    else:
        commands = ()
    if not text.startswith(SWITCH):
        return Script(commands=commands, prompt=text)
    key, *rest = text[1:].split(maxsplit=1) or [""]
    return Script(commands=commands, prompt="".join(rest), model=key)


def _invocation(line: str) -> Invocation:
    name, *rest = line.split(maxsplit=1) or [""]
    return Invocation(name.lower(), "".join(rest).strip())
