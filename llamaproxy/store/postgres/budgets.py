"""What callers with a limit have used at any of the nodes, for a day: each node counts what all of them tell."""

from collections.abc import Callable

from msgspec import json

from ...seams.limits import Used
from .database import Database, Reader
from .turns import CHANNEL

DAY = 86_400


def ask_use(database: Database, node: int, used: Used) -> Callable[[], None]:
    """Writes down what was used, and tells the other nodes; the answer is looked at later."""
    told = {"used": used.source, "messages": used.messages, "tokens": used.tokens, "by": node}
    database.connection.execute(
        """
        WITH kept AS (
            INSERT INTO used (source, second, messages, tokens)
            VALUES (?, extract(epoch FROM now())::bigint, ?, ?)
            ON CONFLICT (source, second) DO UPDATE SET
                messages = used.messages + excluded.messages, tokens = used.tokens + excluded.tokens
        )
        SELECT pg_notify(?, ?)
        """,
        (used.source, used.messages, used.tokens, CHANNEL, json.encode(told).decode()),
    )
    return _nothing


def all_used(reader: Reader) -> list[Used]:
    """What was used within a day, oldest first. How long ago that is, the database's clock says."""
    rows = reader.connection.execute(
        """
        SELECT source, messages, tokens, greatest(extract(epoch FROM now()) - second, 0)::double precision FROM used
        WHERE second > extract(epoch FROM now()) - ? ORDER BY second
        """,
        (DAY,),
    )
    return [Used(source, messages, tokens, ago) for source, messages, tokens, ago in rows]


def forget_old(database: Database) -> None:
    """Deletes what no budget counts any more."""
    database.connection.execute("DELETE FROM used WHERE second < extract(epoch FROM now()) - ?", (2 * DAY,))


def _nothing() -> None:
    """There is no answer."""
