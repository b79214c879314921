"""What a shell is told while somebody types: subcommands, options, and the names that the files hold."""

import os
from argparse import Namespace

from ..config import Home
from .command import COMMANDS, Refused, command
from .printer import Printer
from .values import SHELLS

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
    printer.line(kind(make_group({}), {}, "agentctl", ASKED).source())


def answer_shell(home: Home, printer: Printer) -> int:
    """Answers a shell that asks how a line could go on; it says in the environment which one it is."""
    from click.shell_completion import shell_complete

    from .clicks import make_group

    group = make_group({name: entry.parser.click for name, entry in COMMANDS.items()})
    return shell_complete(group, {"obj": home}, "agentctl", ASKED, os.environ[ASKED])
