"""Tells the words of a subcommand apart, with a Click command that is made when it is first needed.

One call of agentctl needs one of them.
"""

import re
from argparse import Namespace
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .places import Syntax, WrongWords

if TYPE_CHECKING:
    import click

_NUMBER = re.compile(r"-[\d.]+")


class Subcommand(Syntax):
    """The arguments and options of one subcommand, and what reads them."""

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
