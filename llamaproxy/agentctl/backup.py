"""The subcommand that copies the conversations, of a server that runs as well."""

import os
import sqlite3
from argparse import Namespace
from contextlib import closing
from pathlib import Path

from ..config import Home
from .command import Refused, command
from .printer import Printer

# Pages at a time, between which a running server may write.
_PAGES = 1000


@command("backup <file>", "copy the conversations, also while a server runs")
def backup(home: Home, args: Namespace, printer: Printer) -> None:
    """One file with all that was said; a plain copy would lack what is still in `sessions.db-wal`."""
    target = Path(args.file).expanduser()
    if not home.sessions_db.is_file():
        raise Refused(f"there are no conversations yet: {home.sessions_db} is not there")
    if os.path.lexists(target):
        raise Refused(f"{target} is there already; it is not written over")
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise Refused(f"{scratch} cannot be made ({error.strerror})") from None
    try:
        with (
            closing(sqlite3.connect(f"{home.sessions_db.absolute().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(scratch)) as copy,
        ):
            source.backup(copy, pages=_PAGES)
            # One file is all of it, without another beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
        os.link(scratch, target)
    except (sqlite3.Error, OSError) as error:
        raise Refused(f"{home.sessions_db} cannot be copied to {target} ({error})") from None
    finally:
        scratch.unlink(missing_ok=True)
    printer.done(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
