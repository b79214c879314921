"""The subcommand about the key that makes its holder the operator."""

from argparse import Namespace

from ..config import Home, new_operator_key, operator_key
from .command import command
from .printer import Printer


@command("operator-key [new]", "show the key with which an app is the operator's, or make a new one")
def show_operator_key(home: Home, args: Namespace, printer: Printer) -> None:
    """The key alone on its line, for `$(agentctl operator-key)`."""
    if args.new is None:
        printer.line(operator_key(home.operator_key_file))
        return
    printer.line(new_operator_key(home.operator_key_file))
    printer.restart()
