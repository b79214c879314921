"""Reads a message: which lines at its beginning are commands, what is left as a prompt, and for which model."""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from msgspec import Struct

SIGIL = "!"
SWITCH = "@"
# Of one message. A pasted text whose lines happen to begin with `!` runs nothing.
MAX_COMMANDS = 20

# A line that is a command, as far as its form goes: the sign and a word, and what stands behind them, up to the next
# line with anything on it. Signs that only look like these, and marks that only look like the end of a line, are text.
_LINE = re.compile(r"[ \t]*!([^\W\d]\w*)(?:[ \t]+([^\n]*))?[ \t\r]*(?:\Z|\n(?:[ \t\r]*\n)*)")


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


def read(text: str, takes_argument: Callable[[str], bool | None]) -> Script:
    """Takes a message apart, at no cost per line however long it is.

    Commands are the lines at the beginning that begin with `!` and a word, if `takes_argument` knows every one of them
    (it gives None for an unknown name); what follows them is the prompt. One alone takes all that follows if it takes
    an argument. A message of one line with an unknown one is that command, so that it can be answered with the
    nearest; a longer one is a prompt as it stands. Raises `TooManyCommands`.
    """
    text = text.strip()
    found = list(islice(_leading(text), MAX_COMMANDS + 1))
    if not found:
        return _prompt(text)
    known = [takes_argument(line[1].lower()) for line in found]
    if None in known:
        is_one_line = len(found) == 1 and found[0].end() == len(text)
        return Script(commands=(_invocation(found[0]),)) if is_one_line else _prompt(text)
    if len(found) > MAX_COMMANDS:
        raise TooManyCommands(
            f"More than {MAX_COMMANDS} lines of this message begin with {SIGIL}, too many for commands. "
            "Nothing was run or passed on; send fewer at a time, or put another character before them."
        )
    if len(found) == 1 and known[0]:
        argument = text[found[0].end(1) :].strip()
        return Script(commands=(Invocation(found[0][1].lower(), argument),))
    rest = _prompt(text[found[-1].end() :].strip())
    commands = tuple(_invocation(line) for line in found)
    return Script(commands=commands, prompt=rest.prompt, model=rest.model)


def _leading(text: str) -> Iterator[re.Match[str]]:
    """The lines at the beginning that have the form of commands."""
    line = _LINE.match(text)
    while line is not None:
        yield line
        line = _LINE.match(text, line.end()) if line.end() < len(text) else None


def _prompt(text: str) -> Script:
    if not text.startswith(SWITCH):
        return Script(prompt=text)
    key, *rest = text[1:].split(maxsplit=1) or [""]
    return Script(prompt="".join(rest), model=key)


def _invocation(line: re.Match[str]) -> Invocation:
    return Invocation(line[1].lower(), (line[2] or "").strip())
