"""Subcommands about the conversations in the store: those at rest and, as far as said, the live ones."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import localtime, strftime
from typing import Any

from ..config import Home
from ..config.load import load_settings
from ..config.occupancy import holder_of
from ..seams.types import Message, StoredSession
from ..store.reading import LARGEST_INTEGER, Reading
from . import shared
from .command import AS_JSON, YES, Refused, UsageError, agreed, command, option
from .printer import Printer
from .rows import Row
from .values import SESSION_WORDS


@command(
    "sessions <what> [<id>]",
    "list, show, export or delete conversations, also those at rest",
    option("--format", choices=("markdown", "json"), default="markdown", help="of what is exported"),
    option("--to", metavar="FILE", default="", help="export into a new file"),
    AS_JSON,
    YES,
)
def sessions(home: Home, args: Namespace, printer: Printer) -> None:
    """`<what>` is list, show, export or delete; all but list take a session's id."""
    if args.what not in SESSION_WORDS:
        raise UsageError(f"{args.what} is none of {', '.join(SESSION_WORDS)}")
    store = load_settings(home).front_door.store
    if store:
        reader = shared.reading(home, store)
        with closing(reader.connection), shared.explained(store):
            _answer(home, reader, store, args, printer)
        return
    if args.what == "list" and not home.sessions_db.exists():
        if args.json:
            printer.json([])
        else:
            printer.note("there are no conversations yet")
        return
    with _reading(home, writes=args.what == "delete") as reading:
        _answer(home, reading, store, args, printer)


def _answer(home: Home, reading: Reading, store: str, args: Namespace, printer: Printer) -> None:
    if args.what == "list":
        _list(reading, args, printer)
        return
    stored = reading.load(args.id, LARGEST_INTEGER) if args.id else None
    if stored is None:
        raise Refused(f"no session {args.id or 'was named'}; agentctl sessions list shows them")
    if args.what == "delete" and store:
        _delete_shared(home, store, stored, args, printer)
    elif args.what == "delete":
        _delete(home, reading, stored, args, printer)
    elif args.json or (args.what == "export" and args.format == "json"):
        _out(args, printer, "", stored)
    else:
        _out(args, printer, _markdown(stored), stored)


def _list(reading: Reading, args: Namespace, printer: Printer) -> None:
    found = reading.connection.execute(
        """
        SELECT s.session_id, s.model, coalesce(b.length, 0), s.last_active
        FROM sessions s LEFT JOIN branches b ON b.session_id = s.session_id AND b.branch = s.branch
        ORDER BY s.last_active DESC
        """
    ).fetchall()
    if args.json:
        names = ("session", "model", "messages", "last_active")
        printer.json([dict(zip(names, row, strict=True)) for row in found])
        return
    rows = []
    for session_id, model, count, last_active in found:
        cells = (session_id, model, str(count), strftime("%Y-%m-%d %H:%M", localtime(last_active)))
        rows.append(Row("  ".join(cells), cells))
    printer.table(("session", "model", "messages", "last message"), rows)


def _markdown(stored: StoredSession) -> str:
    """The conversation as a document."""
    parts = [f"# {stored.session_id}", *map(_of_message, stored.messages)]
    return "\n\n".join(part for part in parts if part)


def _of_message(message: Message) -> str:
    calls = "".join(f"\n\n`{call.name}({call.arguments})`" for call in message.tool_calls)
    pictures = "\n\n[picture]" * len(message.images)
    return f"## {message.role}\n\n{message.content}{pictures}{calls}".rstrip()


def _out(args: Namespace, printer: Printer, text: str, stored: StoredSession) -> None:
    if not args.to:
        printer.line(text) if text else printer.json(stored)
        return
    from msgspec import json

    body = text.encode() + b"\n" if text else json.format(json.encode(stored), indent=2) + b"\n"
    target = Path(args.to).expanduser()
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Refused(f"{target} cannot be made ({error.strerror})") from None
    with os.fdopen(handle, "wb") as file:
        file.write(body)
    printer.done(f"{target} ({stored.message_count} messages)")


def _delete(home: Home, reading: Reading, stored: StoredSession, args: Namespace, printer: Printer) -> None:
    """A server that runs may have it in its memory, and so is the one to delete it."""
    if holder_of(home.lock_file) is not None:
        raise Refused(f"a server runs in this home; have it delete that: !session {stored.session_id} delete")
    agreed(args, printer, f"Delete {stored.session_id} with {stored.message_count} messages?")
    for table in ("messages", "branches", "sessions"):
        reading.connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (stored.session_id,))
    printer.done(f"{stored.session_id} deleted")


def _delete_shared(home: Home, store: str, stored: StoredSession, args: Namespace, printer: Printer) -> None:
    """Nodes that have it in memory see at its next turn that it has gone. No turn of it may be under way."""
    agreed(args, printer, f"Delete {stored.session_id} with {stored.message_count} messages?")
    database: Any = shared.writing(home, store)
    from ..store.postgres.turns import holders

    with closing(database.connection) as connection:
        if holders(connection, stored.session_id):
            raise Refused(
                f"a turn of it is under way; have a node delete that: !session {stored.session_id} delete"
            )
        database.delete(stored.session_id)
    printer.done(f"{stored.session_id} deleted")


@contextmanager
def _reading(home: Home, writes: bool) -> Iterator[Reading]:
    import sqlite3

    if not home.sessions_db.is_file():
        raise Refused(f"there are no conversations yet: {home.sessions_db} is not there")
    mode = "rw" if writes else "ro"
    try:
        connection = sqlite3.connect(f"{home.sessions_db.absolute().as_uri()}?mode={mode}", uri=True)
        with closing(connection), connection:
            reading = Reading()
            reading.connection = connection
            yield reading
    except sqlite3.Error as error:
        raise Refused(f"{home.sessions_db} cannot be read ({error})") from None
