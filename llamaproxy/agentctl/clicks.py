"""The subcommands as Click sees them."""

from typing import Any

import click
from click.shell_completion import CompletionItem

from .places import Option, Syntax, is_two_sided
from .values import values_for


class _Command(click.Command):
    """A command whose usage line is written by hand."""

    def __init__(self, syntax: Syntax, params: list[click.Parameter]) -> None:
        super().__init__(syntax.name, params=params, help=syntax.purpose, add_help_option=False)
        self._syntax = syntax

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The line of the table."""
        formatter.write(f"usage: agentctl {self._syntax.usage}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The arguments that need a word about them, and the options."""
        told = [(place.name, place.help) for place in self._syntax.places if place.help]
        if told:
            with formatter.section("Arguments"):
                formatter.write_dl(told)
        super().format_options(ctx, formatter)


def make_command(syntax: Syntax) -> click.Command:
    """The Click command of one syntax."""
    words = click.Argument(["words"], nargs=-1, required=False, shell_complete=_completed(syntax))
    return _Command(syntax, [*map(_option, syntax.options), words])


def make_group(commands: dict[str, click.Command]) -> click.Group:
    """All of them by name, for what a shell asks."""
    return click.Group(
        "agentctl", commands, params=[click.Option(["--home"], type=click.Path(file_okay=False))]
    )


def _option(one: Option) -> click.Option:
    settings = dict(one.settings)
    name = settings.pop("dest", None) or one.flag.lstrip("-").replace("-", "_")
    action = settings.pop("action", None)
    known: dict[str, Any] = {key: settings[key] for key in ("help", "metavar", "required") if key in settings}
    known["default"] = settings.get("default")
    if is_two_sided(one):
        return click.Option([f"{one.flag}/--no-{one.flag.lstrip('-')}", name], **known)
    if action == "store_true":
        known["default"] = False
        return click.Option([one.flag, name], is_flag=True, **known)
    if action == "append":
        return click.Option([one.flag, name], multiple=True, **known)
    choices = settings.get("choices")
    known["type"] = click.Choice(list(choices)) if choices else settings.get("type", str)
    return click.Option([one.flag, name], **known)


def _completed(syntax: Syntax) -> Any:
    """What may stand at a place, for the shell."""

    def complete(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        before = context.params.get("words") or ()
        place = syntax.place_at(len(before), begun)
        if place is None:
            return []
        return [
            CompletionItem(word)
            for word in values_for(context.find_root().obj, syntax.name, place)
            if word.startswith(begun)
        ]

    return complete
