"""From a usage line and its options to a Click command, which tells the words apart, shows help and completes.

The command is made when it is first needed: one call of agentctl needs one.
"""

import re
from argparse import BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import click

_NUMBER = re.compile(r"-[\d.]+")
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


class Subcommand:
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

    def parse(self, arguments: Sequence[str]) -> Namespace:
        """What the words mean. Raises `WrongWords`."""
        import click

        try:
            # Only a number may begin with the sign of an option.
            lenient = any(_NUMBER.fullmatch(word) for word in arguments)
            context = self.click.make_context(
                f"agentctl {self.name}", list(arguments), ignore_unknown_options=lenient
            )
        except click.UsageError as error:
            raise WrongWords(error.format_message().rstrip(".")) from None
        words = context.params.pop("words")
        return Namespace(**context.params, **self._placed(list(words)))

    def format_help(self) -> str:
        """The usage, what it is for, and the options."""
        import click

        return self.click.get_help(click.Context(self.click, info_name=f"agentctl {self.name}"))

    def place_at(self, number: int, word: str = "") -> Place | None:
        """Which place a word has that comes after `number` others."""
        places = [place for place in self.places if not place.word or place.word.startswith(word)]
        if number < len(places):
            return places[number]
        return places[-1] if places and places[-1].many else None

    def _placed(self, words: list[str]) -> dict[str, Any]:
        """Gives each place its word; an optional one gets one only if there are enough for the others."""
        values: dict[str, Any] = {}
        spare = len(words) - sum(place.required for place in self.places)
        for place in self.places:
            if place.many:
                values[place.name] = [place.value(word) for word in words]
                if place.required and not words:
                    raise WrongWords(f"<{place.name}> is missing")
                words = []
            elif place.required:
                if not words:
                    raise WrongWords(f"<{place.name}> is missing")
                values[place.name] = place.value(words.pop(0))
            elif spare > 0 and words and place.word in ("", words[0]):
                values[place.name] = place.value(words.pop(0))
                spare -= 1
            else:
                values[place.name] = place.default
        if words:
            raise WrongWords(f"nothing is known of {' '.join(words)}")
        return values

    @cached_property
    def click(self) -> "click.Command":
        """The Click command; all words that belong to no option are its one argument `words`."""
        from .clicks import make_command

        return make_command(self)


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
