"""What is read of sessions at rest: statements that every database understands, all of them blocking."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ..seams.types import Branch, Resting, Spot, StoredSession, Trace
from .rows import from_row, opening_of

# That databases take.
LARGEST_INTEGER = 2**63 - 1

# Of the first words of a branch's own messages, and of the answers that `find` gives.
WORDS = 200
MOST_FOUND = 256


class Rows(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What statements run on; a `?` stands for each parameter."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Runs one statement."""

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]], /) -> object:
        """Runs one statement several times."""


class Reading:
    """Reads from its `connection`."""

    connection: Connection

    def load(self, session_id: str, limit: int) -> StoredSession | None:
        """The session with its newest `limit` messages; reads no others."""
        row = self.connection.execute(
            """
            SELECT s.model, s.settings, s.branch, coalesce(b.length, 0), s.created_at, s.last_active
            FROM sessions s LEFT JOIN branches b ON b.session_id = s.session_id AND b.branch = s.branch
            WHERE s.session_id = ?
            """,
            (session_id,),
        ).fetchone()
        if row is None:
            return None
        model, settings, branch, length, created_at, last_active = row
        newest_first = self._newest(session_id, branch, length, max(0, min(limit, LARGEST_INTEGER)))
        return StoredSession(
            session_id=session_id,
            model=model,
            settings=json.loads(settings),
            messages=tuple(from_row(*row) for row in reversed(newest_first)),
            message_count=length,
            created_at=created_at,
            last_active=last_active,
            branch=branch,
        )

    def present(self, session_ids: Sequence[str]) -> set[str]:
        """Those of them that there are."""
        marks = ", ".join("?" * len(session_ids))
        statement = f"SELECT session_id FROM sessions WHERE session_id IN ({marks})"
        return {session_id for (session_id,) in self.connection.execute(statement, session_ids).fetchall()}

    def at_rest(self) -> list[Resting]:
        """All sessions, with the size of their words."""
        rows = self.connection.execute(
            """
            SELECT s.session_id, s.last_active, coalesce(sum(length(m.content) + coalesce(length(m.rest), 0)), 0)
            FROM sessions s LEFT JOIN messages m ON m.session_id = s.session_id
            GROUP BY s.session_id, s.last_active
            """
        )
        return [Resting(session_id, last_active, int(size)) for session_id, last_active, size in rows]

    def holding(self, setting: str) -> list[str]:
        """The sessions whose settings have that one, as JSON writes it."""
        rows = self.connection.execute(
            "SELECT session_id FROM sessions WHERE settings LIKE ? ORDER BY session_id", (f'%"{setting}": %',)
        )
        return [session_id for (session_id,) in rows.fetchall()]

    def branches(self, session_id: str) -> list[Branch]:
        """All branches, by their numbers."""
        rows = self.connection.execute(
            """
            SELECT b.branch, b.start, b.length, b.branch = s.branch, substr(first.content, 1, ?), last.rest
            FROM branches b
            JOIN sessions s ON s.session_id = b.session_id
            JOIN messages first
                ON first.session_id = b.session_id AND first.branch = b.branch AND first.seq = b.start
            JOIN messages last
                ON last.session_id = b.session_id AND last.branch = b.branch AND last.seq = b.length - 1
            WHERE b.session_id = ? ORDER BY b.branch
            """,
            (WORDS, session_id),
        )
        return [
            Branch(
                number=number,
                begins=start,
                length=length,
                words=words,
                ending=opening_of(rest),
                active=bool(active),
            )
            for number, start, length, active, words, rest in rows
        ]

    def find(self, session_id: str, places: Sequence[str]) -> list[Trace]:
        """The newest messages and answers at these places."""
        marks = ", ".join("?" * len(places))
        rows = self.connection.execute(
            f"""
            SELECT role, place, rest, branch, seq FROM messages
            WHERE session_id = ? AND place IN ({marks}) ORDER BY branch DESC, seq DESC LIMIT ?
            """,
            (session_id, *places, MOST_FOUND),
        )
        return [
            Trace(place, None if role == "user" else opening_of(rest), Spot(branch, seq + 1))
            for role, place, rest, branch, seq in rows
        ]

    def _newest(self, session_id: str, branch: int, length: int, limit: int) -> list[tuple[str, str, str]]:
        """The rows of the newest messages, the last one first; goes down the tree no further than it has to."""
        rows: list[tuple[str, str, str]] = []
        below: int | None = branch
        while below is not None and len(rows) < limit:
            rows += self.connection.execute(
                """
                SELECT role, content, rest FROM messages
                WHERE session_id = ? AND branch = ? AND seq < ? ORDER BY seq DESC LIMIT ?
                """,
                (session_id, below, length, limit - len(rows)),
            ).fetchall()
            below, length = self.root_of(session_id, below)
        return rows

    def root_of(self, session_id: str, branch: int) -> tuple[int | None, int]:
        """The branch from which this one went off, and after how many messages."""
        row = self.connection.execute(
            "SELECT parent, start FROM branches WHERE session_id = ? AND branch = ?", (session_id, branch)
        ).fetchone()
        return (None, 0) if row is None else (row[0], row[1])
