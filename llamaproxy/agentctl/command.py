"""The table of subcommands, and what makes one.

A subcommand is a function `(home, args, printer)` under `@command`. Its usage line is the only place where its
arguments are written down: each `<name>` in it becomes `args.name`, None where an optional `[<name>]` is left out; a
`[word]` that is given becomes `args.word` (a word in lower case). Options are added with `option`.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from ..config import ConfigError, Home
from ..seams.words import truth
from .printer import Printer

Run = Callable[[Home, argparse.Namespace, Printer], None]


class Refused(Exception):
    """The request cannot be met; the first line says why, further ones say more."""


class UsageError(Refused):
    """An argument is not what the subcommand takes; the usage line is added to it."""


@contextmanager
def judged() -> Iterator[None]:
    """What a loader complains about in the block is about an argument, and not yet in any file."""
    try:
        yield
    except ConfigError as error:
        raise UsageError(": ".join(filter(None, (error.where, error.problem)))) from None


def required_truth(word: str) -> bool:
    """What a boolean word means. Raises `UsageError`."""
    value = truth(word)
    if value is None:
        raise UsageError(f"{word} is neither true nor false")
    return value


class _Parser(argparse.ArgumentParser):
    """An argument parser that leaves printing and exiting to its caller."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


@dataclass(frozen=True)
class Option:
    """One `--option` of a subcommand, as `ArgumentParser.add_argument` takes it."""

    flag: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One subcommand: its usage line, what it is good for, its other names, and how it runs."""

    usage: str
    purpose: str
    aliases: Sequence[str]
    parser: argparse.ArgumentParser
    run: Run

    def __call__(self, home: Home, arguments: Sequence[str], printer: Printer) -> None:
        """Parses and runs. Raises `Refused` or `ConfigError`; having raised, it has changed nothing."""
        try:
            self.run(home, self.parser.parse_args(arguments), printer)
        except UsageError as error:
            raise Refused(f"{error}\n{self.parser.format_usage().strip()}") from None


COMMANDS: dict[str, Command] = {}


def option(flag: str, **settings: Any) -> Option:
    """An option for `@command`."""
    return Option(flag, settings)


def command(usage: str, purpose: str, *options: Option, aliases: Sequence[str] = ()) -> Callable[[Run], Run]:
    """Adds the decorated function to the table, under the first word of its usage line and other names."""
    name = usage.split()[0]
    parser = _Parser(f"agentctl {name}", f"agentctl {usage}", purpose, add_help=False, allow_abbrev=False)
    for bracket, positional, word in re.findall(r"(\[?)<(\w+)>|\[([a-z]+)\]", usage):
        if word:
            parser.add_argument(word, nargs="?", choices=[word])
        else:
            parser.add_argument(positional, metavar=f"<{positional}>", nargs="?" if bracket else None)
    for added in options:
        parser.add_argument(added.flag, **added.settings)

    def enter(run: Run) -> Run:
        COMMANDS.update(dict.fromkeys((name, *aliases), Command(usage, purpose, aliases, parser, run)))
        return run

    return enter
