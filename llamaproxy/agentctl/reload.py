"""The subcommand that has the running server read its files again; changes of other subcommands do so by themselves."""

import os
import signal
from argparse import Namespace
from typing import Any

from ..config import Home, load_configuration
from ..config.occupancy import holder_of
from .command import Refused, command
from .printer import Printer
from .running import ask

# Subcommands about what a server reads at its start only.
AT_START = frozenset({"port-set", "workers"})


@command("reload", "have the running server read its files again")
def reload(home: Home, args: Namespace, printer: Printer) -> None:
    """Refused for a mistake in the files, with which the server would stay as it is."""
    load_configuration(home)
    told = tell_server(home)
    if not told:
        raise Refused(f"no server runs in {home.path} that could")
    if told.startswith(_STAYS):
        raise Refused(told)
    printer.done(told)


def tell_server(home: Home) -> str:
    """Has the server of this home, if one runs, read its files again; gives what came of it in lines, or nothing."""
    holder = holder_of(home.lock_file)
    if holder is None:
        return ""
    try:
        return _in_words(ask(home, "POST", "reload", {}))
    except Refused:
        # It has no pages, or another key.
        return _signalled(holder.pid)


_STAYS = "The running server stays as it was: "


def _in_words(outcome: Any) -> str:
    first, *others = outcome["lines"]
    if not outcome["taken"]:
        return _STAYS + "\n  ".join([first, *others])
    return "\n  ".join(["The running server goes by it now.", *others])


def _signalled(pid: int | None) -> str:
    try:
        if pid is None:
            return ""
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError):
        return ""
    return f"The running server (process {pid}) reads its files again; its log says what came of it."
