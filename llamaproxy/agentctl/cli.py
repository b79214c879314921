"""The entry: finds the home folder and runs one subcommand, or a prompt for many."""

import difflib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from .. import __version__
from ..config import ConfigError, Home, find_home

# Imported for the subcommands that they enter into the table.
from . import (  # noqa: F401
    backup,
    callers,
    completion,
    doctor,
    gates,
    keys,
    limits,
    models,
    plugins,
    pull,
    reload,
    seen,
    sessions,
    setup,
    stores,
    trial,
)
from .command import COMMANDS, Refused
from .completion import ASKED, answer_shell
from .help import show_help
from .printer import Printer
from .reload import AT_START, tell_server

_HELP = ("help", "-h", "--help")
_VERSION = ("version", "-V", "--version")
# What puts files into a home itself, and so must find none that nobody wrote.
_MAKES_HOME = ("restore",)
_QUIT = ("quit", "exit")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `agentctl`; gives the exit status: 0, 1 after a refusal, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        # Signs are not in every terminal's character set.
        getattr(stream, "reconfigure", lambda errors: None)(errors="replace")
    printer = Printer(sys.stdout, sys.stderr)
    try:
        chosen, words = split_home(sys.argv[1:] if arguments is None else arguments)
        home = Home(find_home(chosen, os.environ, Path.cwd()))
    except (Refused, ConfigError, OSError) as error:
        printer.refused(str(error))
        return 1
    try:
        if ASKED in os.environ:
            return answer_shell(home, printer)
        status = run(home, words, printer) if words else prompt(home, printer)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who reads us has seen enough (`agentctl list | head`); nobody is there for what Python would say of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        printer.line()
        return 130


def split_home(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of `--home`, which may stand before or after the subcommand's own arguments, and the other words."""
    chosen: str | None = None
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return chosen, [*words, word, *rest]
        if word == "--home" and not rest:
            raise Refused("--home needs a folder")
        if word == "--home":
            chosen = rest.pop(0)
        elif word.startswith("--home="):
            chosen = word.removeprefix("--home=")
        else:
            words.append(word)
    return chosen, words


def run(home: Home, words: Sequence[str], printer: Printer) -> int:
    """Runs one subcommand with its arguments; gives 0, or 1 after a refusal."""
    try:
        _dispatch(home, words, printer)
    except BrokenPipeError:
        raise
    except (Refused, ConfigError, OSError) as error:  # an OSError names its file, on one line
        printer.refused(str(error))
        return 1
    return 0


def prompt(home: Home, printer: Printer) -> int:
    """Runs the subcommands typed or piped in, until `quit` or the end; gives 1 if one was refused, else 0."""
    status = 0
    for line in _lines(printer):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            printer.refused(f"{error}; close what you opened")
            status = 1
            continue
        if words and words[0] in _QUIT:
            break
        if words:
            status |= run(home, words, printer)
    return status


def _lines(printer: Printer) -> Iterator[str]:
    """Lines from a person, who gets a prompt and line editing, or from a pipe."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with suppress(ImportError):
        import readline  # noqa: F401, by being imported it gives `input` a history
    printer.line("agentctl: help shows what there is, quit leaves")
    with suppress(EOFError):
        while True:
            yield input("agentctl> ")


def _dispatch(home: Home, words: Sequence[str], printer: Printer) -> None:
    name, *arguments = words
    if name in _HELP:
        show_help(printer)
        return
    if name in _VERSION:
        printer.line(f"agentctl {__version__}")
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise Refused(f"no subcommand {name}; {hint}agentctl help shows them")
    if set(arguments) & {"-h", "--help"}:
        printer.line(COMMANDS[name].parser.format_help().rstrip())
        return
    if name not in _MAKES_HOME:
        home.ensure()
    if name not in AT_START:
        printer.tell_server = partial(tell_server, home)
    try:
        COMMANDS[name](home, arguments, printer)
    finally:
        printer.tell_server = str
