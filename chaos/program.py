"""How the programs of this room are told what to do and tell what came of it: flags that are numbers, and counts."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence

# Of what went wrong, how much is told.
TOLD = 20


def flags(prog: str, description: str | None, **numbers: int) -> ArgumentParser:
    """A parser of flags that are whole numbers, with their defaults."""
    parser = ArgumentParser(prog=prog, description=description)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser


def progress(done: int) -> None:
    """Shows how far it is."""
    print(f"\r{done}", end="", file=sys.stderr)


def listed(counts: Mapping[str, int]) -> str:
    """Counts in one line."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def finish(title: str, counts: Mapping[str, int], wrong: Sequence[str]) -> None:
    """Prints what came of people's turns, and ends the program with status 1 unless all was as promised."""
    print(f"\r{title}\n{listed(counts)}", *wrong[:TOLD], sep="\n")
    if wrong or counts.get("turns that hung", 0):
        sys.exit(1)
