"""The subcommand that has the running server read its files again; changes of other subcommands do so by themselves."""

import os
import signal
from argparse import Namespace

from ..config import Home, load_configuration, load_settings
from ..config.occupancy import holder_of
from .command import Refused, command
from .printer import Printer

# Subcommands about what a server reads at its start only.
AT_START = frozenset({"port-set", "workers", "operator-key"})


@command("reload", "have the running server read its files again")
def reload(home: Home, args: Namespace, printer: Printer) -> None:
    """Refused for a mistake in the files, with which the server would stay as it is."""
    load_configuration(home)
    if not (told := tell_server(home)):
        raise Refused(
            f"no server runs in {home.path} that could; one that has several workers needs a restart"
        )
    printer.done(told)


def tell_server(home: Home) -> str:
    """Has the server of this home, if one runs, read its files again; gives a line about that, or nothing."""
    pid = holder_of(home.lock_file)
    if pid is None or load_settings(home).front_door.workers > 1:
        return ""
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError):
        return ""
    return f"The running server (process {pid}) reads its files again; its log says what came of it."
