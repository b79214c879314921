"""Whose turn it is: the statements by which nodes take a session's turn, wait for it, and give it back.

One row a session in `turns` names the node that has it; that it is the table's key is all the exclusion there is. A
node that lives holds a lock with its number, which ends with its connection: no clock and no lease says that it is
dead.
"""

from msgspec import json

from ..reading import Rows
from .connection import Connection
from .schema import NODE_LOCK

CHANNEL = "llamaproxy"
# The numbers of the nodes that live; its parameter is `NODE_LOCK`. Whoever looks for the dead only shares that lock.
LIVING = """
    SELECT objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock' AND classid = ?::oid AND objsubid = 2
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
WAKE = "SELECT pg_notify(?, ?) FROM waiting WHERE session_id = ? LIMIT 1"


def enter(connection: Connection, name: str, version: str, now: float) -> int:
    """Makes a node known, on the connection that is to say that it lives; its number."""
    [(node,)] = connection.execute("SELECT nextval('node_numbers')").fetchall()
    connection.execute("SELECT pg_advisory_lock(?, ?)", (NODE_LOCK, node))
    connection.execute(f"LISTEN {CHANNEL}")
    connection.execute(
        "INSERT INTO nodes (node, name, version, since) VALUES (?, ?, ?, ?)", (node, name, version, now)
    )
    return int(node)


def take_or_wait(connection: Connection, session_id: str, node: int) -> Rows:
    """Takes the turn of a session that nobody has or waits for, or gets in line; two tickets, one of them None.

    With a place in the line comes the session's version before that.
    """
    return connection.execute(
        """
        WITH taken AS (
            INSERT INTO turns (session_id, node, ticket)
            SELECT ?, ?, nextval(pg_get_serial_sequence('waiting', 'ticket'))
            WHERE NOT EXISTS (SELECT 1 FROM waiting WHERE session_id = ?)
            ON CONFLICT DO NOTHING RETURNING ticket
        ), place AS (
            INSERT INTO waiting (session_id, node) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM taken)
            RETURNING ticket
        )
        SELECT (SELECT ticket FROM taken), (SELECT ticket FROM place),
            coalesce((SELECT s.version FROM place, sessions s WHERE s.session_id = ?), 0)
        """,
        (session_id, node, session_id, session_id, node, session_id),
    )


def ask_state(connection: Connection, session_id: str) -> Rows:
    """The version of a session, 0 for one that is not there, and what was left with its turn when it was given back.

    To be asked behind the turn, or it might be what was so before.
    """
    return connection.execute(
        """
        SELECT coalesce((SELECT version FROM sessions WHERE session_id = ?), 0),
            coalesce((SELECT memo FROM memos WHERE session_id = ?), '')
        """,
        (session_id, session_id),
    )


def take_next(connection: Connection, session_id: str, node: int, ticket: int) -> bool:
    """Takes the turn for one who waits, if it is free and nobody came earlier; whether that was so."""
    row = connection.execute(
        """
        INSERT INTO turns (session_id, node, ticket)
        SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM waiting WHERE session_id = ? AND ticket < ?)
        ON CONFLICT DO NOTHING RETURNING ticket
        """,
        (session_id, node, ticket, session_id, ticket),
    ).fetchone()
    if row is not None:
        leave(connection, ticket)
    return row is not None


def leave(connection: Connection, ticket: int) -> None:
    """Gets out of the line."""
    connection.execute("DELETE FROM waiting WHERE ticket = ?", (ticket,))


def keep_memo(connection: Connection, session_id: str, ticket: int, memo: str) -> None:
    """Leaves something with the turn for whoever has it next; "" is nothing."""
    if memo:
        connection.execute(
            """
            INSERT INTO memos SELECT ?, ? WHERE EXISTS (SELECT 1 FROM turns WHERE session_id = ? AND ticket = ?)
            ON CONFLICT (session_id) DO UPDATE SET memo = excluded.memo
            """,
            (session_id, memo, session_id, ticket),
        )
    else:
        connection.execute("DELETE FROM memos WHERE session_id = ?", (session_id,))


def give_back(connection: Connection, session_id: str, ticket: int) -> None:
    """Lets the next one have the turn, and wakes whoever waits for it."""
    connection.execute(
        f"WITH given AS (DELETE FROM turns WHERE session_id = ? AND ticket = ?) {WAKE}",
        (session_id, ticket, *_waking(session_id)),
    )


def wake(connection: Connection, session_id: str) -> None:
    """Has whoever waits for the turn of a session look whether it is free."""
    connection.execute(WAKE, _waking(session_id))


def holders(connection: Connection, session_id: str) -> set[int]:
    """The nodes that have the turn of a session or wait for it."""
    rows = connection.execute(
        "SELECT node FROM turns WHERE session_id = ? UNION SELECT node FROM waiting WHERE session_id = ?",
        (session_id, session_id),
    )
    return {node for (node,) in rows}


def living(connection: Connection) -> list[tuple[int, int, str]]:
    """The nodes that live, each with how many users it has, and its name."""
    rows = connection.execute(f"SELECT node, users, name FROM nodes WHERE node IN ({LIVING})", (NODE_LOCK,))
    return [(int(node), int(users), str(name)) for node, users, name in rows]


def is_dead(connection: Connection, node: int) -> bool:
    """Whether the node has lost the connection that says that it lives.

    The look shares its lock with others who look: one that had it alone would seem to be the node, alive again.
    """
    statement = "SELECT pg_try_advisory_xact_lock_shared(?, ?)"
    [(free,)] = connection.execute(statement, (NODE_LOCK, node)).fetchall()
    return bool(free)


def bury(connection: Connection, node: int) -> bool:
    """Takes all turns, and all places in lines, from a node if it is dead, and wakes who waits; whether it is."""
    with connection.transaction():
        # To the end of the transaction, nobody can come to life under that number.
        if not is_dead(connection, node):
            return False
        connection.execute(
            """
            WITH freed AS (DELETE FROM turns WHERE node = ? RETURNING session_id),
            left_line AS (DELETE FROM waiting WHERE node = ? RETURNING session_id)
            SELECT pg_notify(?, json_build_object('turn', session_id, 'dead', true)::text)
            FROM (SELECT session_id FROM freed UNION SELECT session_id FROM left_line) AS moved
            """,
            (node, node, CHANNEL),
        )
        for table in ("nodes", "answers", "users"):
            connection.execute(f"DELETE FROM {table} WHERE node = ?", (node,))
    return True


def _waking(session_id: str) -> tuple[str, str, str]:
    return CHANNEL, json.encode({"turn": session_id}).decode(), session_id
