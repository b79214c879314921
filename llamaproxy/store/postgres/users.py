"""Who talks at any of the nodes, so that the number of users is one over all of them, and not one for each.

A session that several nodes have in memory is one user. Who comes in while there is room is written down at once; who
came in otherwise, or has left, with the next census.
"""

from collections.abc import Mapping

from msgspec import Struct

from ...seams.limits import FROM_THERE, IN_ALL
from .database import Database
from .schema import USERS_LOCK
from .turns import CHANNEL


class Users:
    """Those of this node, by session, with where they came from."""

    def __init__(self) -> None:
        self._here: dict[str, str] = {}
        self._written: set[str] = set()
        self._gone: set[str] = set()

    def tell(self, session_id: str, source: str, talks: bool) -> None:
        """One more talks here, or one less."""
        if talks:
            self._here[session_id] = source
            self._gone.discard(session_id)
        elif self._here.pop(session_id, None) is not None and session_id in self._written:
            self._written.remove(session_id)
            self._gone.add(session_id)

    def admitted(self, session_id: str) -> None:
        """One is written down already."""
        self._written.add(session_id)

    def forgotten(self, session_id: str) -> None:
        """One has been taken off the list, and stays if it still talks."""
        self._written.discard(session_id)

    def begin_anew(self) -> None:
        """The node has another number, under which nobody is written down."""
        self._written.clear()

    def news(self) -> "News":
        """What is to be written with this census."""
        new = {session_id: self._here[session_id] for session_id in self._here.keys() - self._written}
        news = News(new, frozenset(self._gone))
        self._written.update(new)
        self._gone.clear()
        return news

    def not_written(self, news: "News") -> None:
        """That was not written down: it is news with the next census as well."""
        self._written.difference_update(news.new)
        self._gone.update(news.gone - self._here.keys())


class News(Struct, frozen=True):
    """Who is new at a node, and who has left it."""

    new: Mapping[str, str]
    gone: frozenset[str]


def write(database: Database, node: int, news: News) -> None:
    """Writes down what is new."""
    if news.new:
        database.connection.executemany(
            "INSERT INTO users (session_id, node, source) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [(session_id, node, source) for session_id, source in news.new.items()],
        )
    if news.gone:
        database.connection.execute(
            "DELETE FROM users WHERE node = ? AND session_id = ANY(?)", (node, list(news.gone))
        )


def admit(database: Database, node: int, session_id: str, source: str, most: int, share: int) -> str:
    """Lets one more in, and has another one that rests put away for it if need be; what stands in the way, or ""."""
    connection = database.connection
    with connection.transaction():
        # One at a time, or two would take the same last place.
        connection.execute("SELECT pg_advisory_xact_lock(?)", (USERS_LOCK,))
        [(is_known, there, in_all)] = connection.execute(
            """
            SELECT count(*) FILTER (WHERE session_id = ?), count(DISTINCT session_id) FILTER (WHERE source = ?),
                count(DISTINCT session_id) FROM users
            """,
            (session_id, source),
        ).fetchall()
        if not is_known:
            if there >= share and not _put_away(database, source):
                return FROM_THERE
            if there < share and in_all >= most and not _put_away(database, ""):
                return IN_ALL
        connection.execute(
            "INSERT INTO users (session_id, node, source) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (session_id, node, source),
        )
    return ""


def _put_away(database: Database, source: str) -> bool:
    """Has the one put away, of all or of those from there, who rests and was active least recently; if there is one."""
    row = database.connection.execute(
        """
        WITH resting AS (
            SELECT u.session_id FROM users u LEFT JOIN sessions s ON s.session_id = u.session_id
            WHERE (? = '' OR u.source = ?)
                AND NOT EXISTS (SELECT 1 FROM turns t WHERE t.session_id = u.session_id)
                AND NOT EXISTS (SELECT 1 FROM waiting w WHERE w.session_id = u.session_id)
            GROUP BY u.session_id ORDER BY greatest(max(s.last_active), max(u.at)) LIMIT 1
        ), left_list AS (DELETE FROM users WHERE session_id IN (SELECT session_id FROM resting))
        SELECT session_id, pg_notify(?, json_build_object('forget', session_id)::text) FROM resting
        """,
        (source, source, CHANNEL),
    ).fetchone()
    return row is not None
