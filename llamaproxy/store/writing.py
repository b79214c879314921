"""What is written of sessions at rest: statements that every database understands, all of them blocking."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from ..seams.types import Message, Spot
from .reading import LARGEST_INTEGER, Connection, Reading
from .rows import to_row


class Writing(ABC, Reading):
    """Writes to its `connection` as well; `now` gives Unix seconds."""

    now: Callable[[], float]

    @abstractmethod
    def transaction(self, session_id: str) -> AbstractContextManager[Connection]:
        """Commits what was written of that session at the end, or rolls back."""

    def append(self, session_id: str, messages: Sequence[Message], after: Spot | None = None) -> int:
        """Adds messages; a turn is a few short statements and their commit, however long the history is."""
        now = self.now()
        with self.transaction(session_id) as connection:
            [(active,)] = connection.execute(
                """
                INSERT INTO sessions (session_id, created_at, last_active) VALUES (?, ?, ?)
                ON CONFLICT (session_id) DO UPDATE SET last_active = excluded.last_active
                RETURNING branch
                """,
                (session_id, now, now),
            ).fetchall()
            branch = active
            if after is not None and (branch := self._branch_at(session_id, after)) != active:
                self._activate(session_id, branch, active)
            [(length,)] = connection.execute(
                """
                INSERT INTO branches (session_id, branch, length) VALUES (?, ?, ?)
                ON CONFLICT (session_id, branch) DO UPDATE SET length = branches.length + excluded.length
                RETURNING length
                """,
                (session_id, branch, len(messages)),
            ).fetchall()
            connection.executemany(
                """
                INSERT INTO messages (session_id, branch, seq, role, content, rest, place)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                """,
                [
                    (session_id, branch, seq, *to_row(message))
                    for seq, message in enumerate(messages, length - len(messages))
                ],
            )
        return int(branch)

    def save_settings(self, session_id: str, model: str, settings: str) -> None:
        """Keeps the model and the settings, which are JSON; makes the session if it is new."""
        with self.transaction(session_id):
            self._keep_settings(session_id, model, settings)

    def take_up(self, session_id: str, branch: int) -> bool:
        """Makes a branch the active one; whether there is such a branch."""
        with self.transaction(session_id) as connection:
            row = connection.execute(
                """
                SELECT s.branch FROM sessions s JOIN branches b ON b.session_id = s.session_id
                WHERE s.session_id = ? AND b.branch = ?
                """,
                (session_id, min(branch, LARGEST_INTEGER)),
            ).fetchone()
            if row is not None and row[0] != branch:
                self._activate(session_id, branch, row[0])
            return row is not None

    def step_back(self, session_id: str) -> int | None:
        """Makes the branch active that was so before the active one; its number, None if there was none."""
        with self.transaction(session_id) as connection:
            row = connection.execute(
                """
                SELECT b.left_branch FROM sessions s
                JOIN branches b ON b.session_id = s.session_id AND b.branch = s.branch
                WHERE s.session_id = ? AND b.left_branch IS NOT NULL
                """,
                (session_id,),
            ).fetchone()
            if row is None:
                return None
            self._activate(session_id, row[0])
            return int(row[0])

    def clear(self, session_id: str) -> int:
        """Forgets the messages; how many those were."""
        with self.transaction(session_id) as connection:
            connection.execute("UPDATE sessions SET branch = 1 WHERE session_id = ?", (session_id,))
            return self._forget(session_id)

    def delete(self, session_id: str) -> bool:
        """Forgets the session; whether there was one."""
        with self.transaction(session_id) as connection:
            self._forget(session_id)
            return connection.execute("DELETE FROM sessions WHERE session_id = ?", (session_id,)).rowcount > 0

    def _keep_settings(self, session_id: str, model: str, settings: str) -> None:
        now = self.now()
        self.connection.execute(
            """
            INSERT INTO sessions (session_id, model, settings, created_at, last_active) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (session_id) DO UPDATE SET
                model = excluded.model, settings = excluded.settings, last_active = excluded.last_active
            """,
            (session_id, model, settings, now, now),
        )

    def _branch_at(self, session_id: str, spot: Spot) -> int:
        """The branch that ends at this spot; if it is in the middle of its branch, a new one that begins there."""
        rows = self.connection.execute(
            "SELECT length FROM branches WHERE session_id = ? AND branch = ?", (session_id, spot.branch)
        ).fetchall()
        if not rows or rows[0][0] == spot.length:
            return spot.branch
        # A branch never begins where its parent does, so that every one on the way down has messages.
        parent: int | None = spot.branch
        while parent is not None and spot.length <= (root := self.root_of(session_id, parent))[1]:
            parent = root[0]
        [(number,)] = self.connection.execute(
            "SELECT max(branch) + 1 FROM branches WHERE session_id = ?", (session_id,)
        ).fetchall()
        self.connection.execute(
            "INSERT INTO branches (session_id, branch, parent, start, length) VALUES (?, ?, ?, ?, ?)",
            (session_id, number, parent, spot.length, spot.length),
        )
        return int(number)

    def _activate(self, session_id: str, branch: int, before: int | None = None) -> None:
        """Makes a branch the active one, and remembers which one was so `before`."""
        self.connection.execute(
            "UPDATE sessions SET branch = ?, last_active = ? WHERE session_id = ?",
            (branch, self.now(), session_id),
        )
        if before is not None:
            self.connection.execute(
                "UPDATE branches SET left_branch = ? WHERE session_id = ? AND branch = ?",
                (before, session_id, branch),
            )

    def _forget(self, session_id: str) -> int:
        self.connection.execute("DELETE FROM branches WHERE session_id = ?", (session_id,))
        return self.connection.execute("DELETE FROM messages WHERE session_id = ?", (session_id,)).rowcount
