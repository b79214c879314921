"""Subcommands about where the conversations are: copying them from one store to another, and who shares one."""

from argparse import Namespace
from pathlib import Path
from time import time
from typing import Any

from ..config import Home
from ..config.load import load_settings
from ..seams.errors import StoreError
from ..store.postgres.address import is_postgres
from .command import AS_JSON, Refused, command, option
from .printer import Printer
from .rows import Row
from .shared import writing

PASSWORD = option(
    "--password-env",
    metavar="NAME",
    default="",
    help="the variable with PostgreSQL's password (else store_password_env)",
)
# Sessions between two lines about how far it is.
STEP = 100

SESSION = ("session_id", "model", "settings", "created_at", "last_active", "branch")
TABLES = {
    "branches": ("session_id", "branch", "parent", "start", "length", "left_branch"),
    "messages": ("session_id", "branch", "seq", "role", "content", "rest", "place"),
}


@command(
    "store-copy <source> <target> [--password-env NAME]",
    "copy conversations between a sessions.db and a PostgreSQL; what was copied before is left out",
    PASSWORD,
)
def store_copy(home: Home, args: Namespace, printer: Printer) -> None:
    """One session in one transaction, so that it can be broken off and begun again at any time."""
    source, target = (_opened(home, each, args.password_env) for each in (args.source, args.target))
    listed = f"SELECT {', '.join(SESSION)} FROM sessions ORDER BY session_id"
    sessions = source.connection.execute(listed).fetchall()
    copied = newer = 0
    for number, row in enumerate(sessions, 1):
        outcome = _copy(source, target, row)
        copied, newer = copied + (outcome == "copied"), newer + (outcome == "newer")
        if number % STEP == 0:
            printer.line(f"{number} of {len(sessions)} sessions ({100 * number // len(sessions)} %)")
    different = [row[0] for row in sessions if _counts(source, row[0]) != _counts(target, row[0])]
    printer.line(
        f"{len(sessions)} sessions: {copied} copied, {len(sessions) - copied - newer} were there already, "
        f"{newer} are newer in the target and were left alone"
    )
    if len(different) > newer:
        raise Refused(f"{len(different)} sessions differ, {different[0]} for one; run it again")


@command("nodes", "show the servers that share the store: versions, users, and turns under way", AS_JSON)
def nodes(home: Home, args: Namespace, printer: Printer) -> None:
    """Asks the database who lives."""
    door = load_settings(home).front_door
    if not door.store:
        raise Refused("the conversations are in this home's sessions.db, which no other node shares")
    connection = writing(home, door.store).connection
    from ..store.postgres.schema import NODE_LOCK
    from ..store.postgres.turns import LIVING

    rows = connection.execute(
        f"""
        SELECT n.node, n.name, n.version, n.since, n.users,
            (SELECT count(*) FROM turns t WHERE t.node = n.node), (SELECT count(*) FROM waiting w WHERE w.node = n.node)
        FROM nodes n WHERE n.node IN ({LIVING}) ORDER BY n.node
        """,
        (NODE_LOCK,),
    ).fetchall()
    names = ("node", "name", "version", "since", "users", "turns", "waiting")
    found: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    if args.json:
        printer.json(found)
        return
    lines = [
        Row(
            f"{each['node']} {each['name']}: version {each['version']}, {each['users']} users, "
            f"{each['turns']} turns, {each['waiting']} waiting",
            tuple(str(each[name]) for name in names if name != "since"),
        )
        for each in found
    ]
    printer.table(tuple(name for name in names if name != "since"), lines)


def _opened(home: Home, address: str, password_env: str) -> Any:
    """A store to write to. Raises `Refused`."""
    if is_postgres(address):
        return writing(home, address, password_env)
    try:
        # With a logger, which nothing else needs.
        from ..store.database import Database

        return Database(Path(address), time)
    except (StoreError, OSError) as error:
        raise Refused(str(error)) from None


def _copy(source: Any, target: Any, row: Any) -> str:
    """What became of one session: `copied`, `there` already, or `newer` in the target."""
    session_id = row[0]
    known = target.connection.execute(
        f"SELECT {', '.join(SESSION)} FROM sessions WHERE session_id = ?", (session_id,)
    ).fetchone()
    if known is not None:
        if tuple(known) == tuple(row) and _counts(source, session_id) == _counts(target, session_id):
            return "there"
        if known[4] > row[4]:
            return "newer"
    with target.transaction(session_id) as connection:
        for table in ("sessions", *TABLES):
            connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
        connection.execute(_insert("sessions", SESSION), tuple(row))
        for table, columns in TABLES.items():
            rows = source.connection.execute(
                f"SELECT {', '.join(columns)} FROM {table} WHERE session_id = ?", (session_id,)
            ).fetchall()
            connection.executemany(_insert(table, columns), [tuple(each) for each in rows])
    return "copied"


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _counts(store: Any, session_id: str) -> tuple[int, ...]:
    """How many branches and messages a session has."""
    counted = (
        store.connection.execute(
            f"SELECT count(*) FROM {table} WHERE session_id = ?", (session_id,)
        ).fetchone()
        for table in TABLES
    )
    return tuple(int(row[0]) for row in counted)
