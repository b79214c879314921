"""The table of subcommands, and what makes one.

A subcommand is a function `(home, args, printer)` under `@command`. Its usage line is the only place where its
arguments are written down: each `<name>` in it becomes `args.name`, and options are added with `option`.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ..config import Home
from .printer import Printer

Run = Callable[[Home, argparse.Namespace, Printer], None]


class Refused(Exception):
    """The request cannot be met; the first line says why, further ones say more."""


class _Parser(argparse.ArgumentParser):
    """An argument parser that leaves printing and exiting to its caller."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message}\n{self.format_usage().strip()}")


@dataclass(frozen=True)
class Option:
    """One `--option` of a subcommand, as `ArgumentParser.add_argument` takes it."""

    flag: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One subcommand: its usage line, what it is good for, and how it runs."""

    usage: str
    purpose: str
    parser: argparse.ArgumentParser
    run: Run

    def __call__(self, home: Home, arguments: Sequence[str], printer: Printer) -> None:
        """Parses and runs. Raises `Refused` or `ConfigError`; having raised, it has changed nothing."""
        self.run(home, self.parser.parse_args(arguments), printer)


COMMANDS: dict[str, Command] = {}


def option(flag: str, **settings: Any) -> Option:
    """An option for `@command`."""
    return Option(flag, settings)


def command(usage: str, purpose: str, *options: Option) -> Callable[[Run], Run]:
    """Adds the decorated function to the table, under the first word of its usage line."""
    name = usage.split()[0]
    parser = _Parser(f"agentctl {name}", f"agentctl {usage}", purpose, add_help=False, allow_abbrev=False)
    for positional in re.findall(r"<(\w+)>", usage):
        parser.add_argument(positional, metavar=f"<{positional}>")
    for added in options:
        parser.add_argument(added.flag, **added.settings)

    def enter(run: Run) -> Run:
        COMMANDS[name] = Command(usage, purpose, parser, run)
        return run

    return enter
