"""What the usage line and the options of a subcommand say about its words."""

import re
from argparse import BooleanOptionalAction
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_PLACE = re.compile(r"(\[?)<(\w+)>|\[([a-z]+)\]")


class WrongWords(Exception):
    """The words are not what the usage line says."""


class Option(NamedTuple):
    """One `--option` of a subcommand, or one more argument, with the settings of `ArgumentParser.add_argument`."""

    flag: str
    settings: dict[str, Any]


def option(flag: str, **settings: Any) -> Option:
    """An option for `@command`."""
    return Option(flag, settings)


class Place(NamedTuple):
    """Where a word may stand that belongs to no option: `word` is the only one that fits, if it is not empty."""

    name: str
    required: bool = True
    word: str = ""
    many: bool = False
    kind: Callable[[str], Any] = str
    choices: Sequence[Any] | None = None
    default: Any = None
    help: str = ""

    def value(self, word: str) -> Any:
        """What the word means. Raises `WrongWords`."""
        try:
            value = self.kind(word)
        except ValueError:
            raise WrongWords(f"{word!r} is no {self.name}") from None
        if self.choices is not None and value not in self.choices:
            raise WrongWords(f"{word!r} is none of {', '.join(map(str, self.choices))}")
        return value


class Syntax:
    """The arguments and options of one subcommand."""

    def __init__(self, usage: str, purpose: str, options: Sequence[Option]) -> None:
        self.usage, self.purpose = usage, purpose
        self.name = usage.split()[0]
        self.options = [one for one in options if one.flag.startswith("-")]
        self.places = [
            Place(word or name, required=not (bracket or word), word=word)
            for bracket, name, word in _PLACE.findall(usage)
        ]
        self.places += [_place(one) for one in options if not one.flag.startswith("-")]

    def place_at(self, number: int, word: str = "") -> Place | None:
        """Which place a word has that comes after `number` others."""
        places = [place for place in self.places if not place.word or place.word.startswith(word)]
        if number < len(places):
            return places[number]
        return places[-1] if places and places[-1].many else None


def _place(one: Option) -> Place:
    settings = one.settings
    return Place(
        one.flag,
        required=settings.get("nargs") not in ("?", "*"),
        many=settings.get("nargs") in ("*", "+"),
        kind=settings.get("type", str),
        choices=settings.get("choices"),
        default=settings.get("default"),
        help=settings.get("help", ""),
    )


def is_two_sided(one: Option) -> bool:
    """Whether it is an option with a `--no-` beside it."""
    return one.settings.get("action") is BooleanOptionalAction
