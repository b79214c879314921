"""The subcommands that copy a home, or its conversations alone, into one file, and bring it back."""

import os
import shlex
import shutil
import sqlite3
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from time import strftime

from ..config import Home, Occupancy
from ..config.load import load_settings
from ..store.postgres.address import shown
from .archive import MOST_BYTES, MOST_TIMES, REPLACED, STAGE, Unusable, copy_database, pack, unpack
from .command import Refused, UsageError, command, option
from .printer import Printer

WHOLE = option(
    "--whole", action="store_true", help="the whole home: settings, keys, prompts, files; no weights"
)
REPLACE = option("--replace", action="store_true", help="put what is there already aside")

MOST = option(
    "--most",
    metavar="GIB",
    type=float,
    help=f"unpack up to so much, instead of {MOST_BYTES >> 30}, or {MOST_TIMES} times what the file has",
)


@command(
    "backup <file> [--whole]",
    "copy the conversations, also while a server runs; or the whole home",
    WHOLE,
)
def backup(home: Home, args: Namespace, printer: Printer) -> None:
    """One file with all that was said; a plain copy would lack what is still in `sessions.db-wal`."""
    target = Path(args.file).expanduser()
    store = load_settings(home).front_door.store
    if store and not args.whole:
        raise Refused(
            f"the conversations are in {shown(store)}, which PostgreSQL's own pg_dump copies\n"
            f"agentctl store-copy {shlex.quote(store)} FILE writes them to an SQLite file; --whole copies the home"
        )
    if not args.whole and not home.sessions_db.is_file():
        raise Refused(f"there are no conversations yet: {home.sessions_db} is not there")
    if os.path.lexists(target):
        raise Refused(f"{target} is there already; it is not written over")
    scratch, copy = (target.with_name(f".{target.name}.{os.getpid()}{more}") for more in ("", ".db"))
    try:
        # Others may read the folder; what was said there is nothing for them.
        for file in (scratch, copy):
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise Refused(f"{scratch} cannot be made ({error.strerror})") from None
    try:
        if args.whole:
            pack(home, scratch, copy)
        else:
            copy_database(home.sessions_db, scratch)
        os.link(scratch, target)
    except (sqlite3.Error, OSError) as error:
        source = home.path if args.whole else home.sessions_db
        raise Refused(f"{source} cannot be copied to {target} ({error})") from None
    finally:
        for file in (scratch, copy):
            file.unlink(missing_ok=True)
    printer.done(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    if store:
        printer.line(f"The conversations are not in it: they are in {shown(store)}, which pg_dump copies.")


@command(
    "restore <file> [--replace] [--most GIB]",
    "bring back what backup has copied, while no server runs",
    REPLACE,
    MOST,
)
def restore(home: Home, args: Namespace, printer: Printer) -> None:
    """All of it or nothing: it is looked at beside the home's files before one of them is touched."""
    file = Path(args.file).expanduser()
    if not file.is_file():
        raise Refused(f"there is no file {file}")
    if args.most is not None and not 0 < args.most < 1e9:
        raise UsageError(f"{args.most:g} is no size in GiB")
    most = None if args.most is None else int(args.most * (1 << 30))
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Held meanwhile, so that no server starts.
    occupancy = Occupancy(home.lock_file)
    occupancy.take()
    try:
        aside = _restored(home, file, args.replace, most)
    except (Unusable, OSError) as error:
        raise Refused(f"{file} cannot be brought back: {error}") from None
    finally:
        occupancy.release()
    printer.done(f"{file} is back in {home.path}")
    if aside is not None:
        printer.line(f"what was there is in {aside}")


def _restored(home: Home, file: Path, replace: bool, most: int | None) -> Path | None:
    """Puts what is in the file into the home; returns where that lies now which was there before, if anything."""
    stage = home.path / f"{STAGE}{os.getpid()}"
    stage.mkdir(mode=0o700)
    try:
        unpack(file, stage, most)
        present = sorted(path.name for path in stage.iterdir() if os.path.lexists(home.path / path.name))
        if present and not replace:
            raise Refused(
                f"{home.path} has {', '.join(present)} already\n"
                "Say --replace to have that put aside, or name another --home"
            )
        return _exchange(home, stage)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _exchange(home: Home, stage: Path) -> Path | None:
    """Moves everything from the stage to its place; returns where that lies now which was there before."""
    aside = home.path / f"{REPLACED}{strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    for path in sorted(stage.iterdir()):
        # Of conversations, what is not yet in the file itself belongs to the old one.
        logs = (
            [f"{path.name}{kind}" for kind in ("-wal", "-shm")] if path.name == home.sessions_db.name else []
        )
        for name in (path.name, *logs):
            if os.path.lexists(home.path / name):
                aside.mkdir(mode=0o700, exist_ok=True)
                (home.path / name).rename(aside / name)
        path.rename(home.path / path.name)
    with suppress(OSError):
        descriptor = os.open(home.path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return aside if aside.exists() else None
