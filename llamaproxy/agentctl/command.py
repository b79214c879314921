"""The table of subcommands, and what makes one.

A subcommand is a function `(home, args, printer)` under `@command`. Its usage line is the only place where its
arguments are written down: each `<name>` in it becomes `args.name`, None where an optional `[<name>]` is left out; a
`[word]` that is given becomes `args.word` (a word in lower case). Options are added with `option`.
"""

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..config import ConfigError, Home
from ..seams.words import truth
from .parsing import Subcommand
from .places import Option, WrongWords, option
from .printer import Printer

__all__ = ["AS_JSON", "COMMANDS", "Command", "Option", "Refused", "UsageError", "command", "judged", "option"]

Run = Callable[[Home, Namespace, Printer], None]

# For whatever lists something.
AS_JSON = option("--json", action="store_true", help="print it as JSON, for programs")
# Whoever says so beforehand is not asked.
YES = option("--yes", action="store_true", help="do it without asking")


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


def agreed(args: Namespace, printer: Printer, question: str) -> None:
    """Goes on only if `--yes` was given or a person at the terminal says so. Raises `Refused`."""
    if args.yes:
        return
    if not printer.is_dialogue:
        raise Refused(f"{question} Say --yes if that is meant")
    if not printer.confirm(question):
        raise Refused("left as it is")


@dataclass(frozen=True)
class Command:
    """One subcommand: its usage line, what it is good for, its other names, and how it runs."""

    usage: str
    purpose: str
    aliases: Sequence[str]
    parser: Subcommand
    run: Run

    def __call__(self, home: Home, arguments: Sequence[str], printer: Printer) -> None:
        """Parses and runs. Raises `Refused` or `ConfigError`; having raised, it has changed nothing."""
        try:
            self.run(home, self.parser.parse(arguments), printer)
        except (UsageError, WrongWords) as error:
            raise Refused(f"{error}\nusage: agentctl {self.usage}") from None


COMMANDS: dict[str, Command] = {}


def command(usage: str, purpose: str, *options: Option, aliases: Sequence[str] = ()) -> Callable[[Run], Run]:
    """Adds the decorated function to the table, under the first word of its usage line and other names."""
    parser = Subcommand(usage, purpose, options)

    def enter(run: Run) -> Run:
        entry = Command(usage, purpose, aliases, parser, run)
        COMMANDS.update(dict.fromkeys((usage.split()[0], *aliases), entry))
        return run

    return enter
