"""What a shell is told while somebody types: subcommands, options, and the names that the files hold."""

import os
from argparse import Namespace
from collections.abc import Iterable

from ..config import ConfigError, Home, JsonFile
from ..config.schema import DepthLimits
from ..seams.limits import DEFAULT_RATES
from .command import COMMANDS, Refused, command
from .parsing import Place
from .printer import Printer

SHELLS = ("bash", "zsh", "fish")
# In the environment of a call that a shell makes to ask.
ASKED = "_AGENTCTL_COMPLETE"

_HINTS = {
    "bash": 'eval "$(agentctl completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(agentctl completion zsh)"   in ~/.zshrc, below compinit',
    "fish": "agentctl completion fish | source   in ~/.config/fish/config.fish",
}


@command("completion <shell>", "print what makes bash, zsh or fish complete agentctl's words")
def completion(home: Home, args: Namespace, printer: Printer) -> None:
    """A script for the shell to read at its start."""
    if args.shell not in SHELLS:
        raise Refused(f"{args.shell} is none of {', '.join(SHELLS)}")
    from click.shell_completion import get_completion_class

    from .clicks import make_group

    kind = get_completion_class(args.shell)
    if kind is None:
        raise Refused(f"nothing is known of {args.shell}")
    printer.line(f"# {_HINTS[args.shell]}")
    printer.line(kind(make_group((), ()), {}, "agentctl", ASKED).source())


def answer_shell(home: Home, printer: Printer) -> int:
    """Answers a shell that asks how a line could go on; it says in the environment which one it is."""
    from click.shell_completion import shell_complete

    from .clicks import make_group

    group = make_group((entry.parser for entry in COMMANDS.values()), COMMANDS)
    return shell_complete(group, {"obj": home}, "agentctl", ASKED, os.environ[ASKED])


def values_for(home: Home, name: str, place: Place) -> Iterable[str]:
    """What may stand at one place of a subcommand; empty where that is anything, or the files cannot be read."""
    if place.word:
        return (place.word,)
    if place.choices:
        return map(str, place.choices)
    try:
        return _named(home, name, place.name)
    except ConfigError:
        return ()


def _named(home: Home, name: str, place: str) -> Iterable[str]:
    match place:
        case "shell":
            return SHELLS
        case "bool":
            return ("true", "false")
        case "op":
            return ("read", "write")
        case "category":
            return DEFAULT_RATES
        case "type":
            from .registry import BUILT_IN

            return BUILT_IN
        case "plugin":
            from .manifest import load_manifest

            return load_manifest(home)
        case "key" if name == "limit-set":
            return DepthLimits.__struct_fields__
        case "key" if name.startswith("model") and name != "model-add":
            from .registry import entries_in

            return entries_in(JsonFile(home.models_file).read(), home)
    return ()
