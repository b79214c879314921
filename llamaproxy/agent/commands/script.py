"""Reads a message: which lines of it are commands, what is left as a prompt, and for which model."""

from msgspec import Struct

SIGIL = "!"
SWITCH = "@"


class Invocation(Struct, frozen=True):
    """One command of a message: its name in lower case without the sigil, and all the rest as its argument."""

    name: str
    argument: str


class Script(Struct, frozen=True, kw_only=True):
    """A message taken apart. `model` is the key of a one-turn switch (`@key text`), None without one."""

    commands: tuple[Invocation, ...] = ()
    prompt: str = ""
    model: str | None = None


def read(text: str) -> Script:
    """Takes a message apart.

    Two or more lines that begin with `!` are commands, and the other lines together are the prompt. Otherwise
    the message is one command, newlines and all, if it begins with `!`; a lone command line further down is
    part of the prompt.
    """
    text = text.strip()
    lines = text.splitlines()
    if sum(_is_command(line) for line in lines) >= 2:
        commands = tuple(_invocation(line) for line in lines if _is_command(line))
        text = "\n".join(line for line in lines if not _is_command(line)).strip()
    elif _is_command(text):
        return Script(commands=(_invocation(text),))
    else:
        commands = ()
    if not text.startswith(SWITCH):
        return Script(commands=commands, prompt=text)
    key, *rest = text[1:].split(maxsplit=1) or [""]
    return Script(commands=commands, prompt="".join(rest), model=key)


def _is_command(line: str) -> bool:
    return line.lstrip().startswith(SIGIL)


def _invocation(line: str) -> Invocation:
    name, *rest = line.lstrip()[1:].split(maxsplit=1) or [""]
    return Invocation(name.lower(), "".join(rest).strip())
