"""Whose turn it is: the statements by which nodes take a session's turn, wait for it, and give it back.

One row a session in `turns` names the node that has it; that it is the table's key is all the exclusion there is. A
node that lives holds a lock with its number, which ends with its connection: no clock and no lease says that it is
dead.
"""

from msgspec import json

from .connection import Connection
from .schema import NODE_LOCK

CHANNEL = "llamaproxy"


def enter(connection: Connection, name: str, version: str, now: float) -> int:
    """Makes a node known, on the connection that is to say that it lives; its number."""
    [(node,)] = connection.execute("SELECT nextval('node_numbers')").fetchall()
    connection.execute("SELECT pg_advisory_lock(?, ?)", (NODE_LOCK, node))
    connection.execute(f"LISTEN {CHANNEL}")
    connection.execute(
        "INSERT INTO nodes (node, name, version, since) VALUES (?, ?, ?, ?)", (node, name, version, now)
    )
    return int(node)


def take(connection: Connection, session_id: str, node: int) -> int | None:
    """Takes the turn of a session that nobody has or waits for; the ticket, None if that was not to be."""
    row = connection.execute(
        """
        INSERT INTO turns (session_id, node, ticket)
        SELECT ?, ?, nextval(pg_get_serial_sequence('waiting', 'ticket'))
        WHERE NOT EXISTS (SELECT 1 FROM waiting WHERE session_id = ?)
        ON CONFLICT DO NOTHING RETURNING ticket
        """,
        (session_id, node, session_id),
    ).fetchone()
    return None if row is None else int(row[0])


def wait(connection: Connection, session_id: str, node: int) -> int:
    """Gets in line; the ticket."""
    [(ticket,)] = connection.execute(
        "INSERT INTO waiting (session_id, node) VALUES (?, ?) RETURNING ticket", (session_id, node)
    ).fetchall()
    return int(ticket)


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


def give_back(connection: Connection, session_id: str, ticket: int) -> None:
    """Lets the next one have the turn, and wakes whoever waits for it."""
    connection.execute("DELETE FROM turns WHERE session_id = ? AND ticket = ?", (session_id, ticket))
    connection.execute(
        "SELECT pg_notify(?, ?) FROM waiting WHERE session_id = ? LIMIT 1",
        (CHANNEL, json.encode({"turn": session_id}).decode(), session_id),
    )


def bury(connection: Connection, session_id: str) -> bool:
    """Takes the turn of a session, and the place in its line, from nodes that are dead; whether there was one."""
    rows = connection.execute(
        "SELECT node FROM turns WHERE session_id = ? UNION SELECT node FROM waiting WHERE session_id = ?",
        (session_id, session_id),
    ).fetchall()
    return sum(_bury(connection, node) for (node,) in rows) > 0


def _bury(connection: Connection, node: int) -> bool:
    with connection.transaction():
        # Whoever gets a node's lock knows that the node has lost the connection which held it.
        [(dead,)] = connection.execute("SELECT pg_try_advisory_xact_lock(?, ?)", (NODE_LOCK, node)).fetchall()
        if dead:
            for table in ("turns", "waiting", "nodes"):
                connection.execute(f"DELETE FROM {table} WHERE node = ?", (node,))
    return bool(dead)
