"""`agentctl doctor` from the page: every client's part is played against this server, in a thread.

The doctor's tables are large, and are imported only where somebody presses the button.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

if TYPE_CHECKING:
    from ..doctor.replay import Client
    from ..doctor.visit import Server

Run = Callable[..., Deferred[Any]]


class Row(Struct, kw_only=True):
    """One client: its complaint, "" if it gets along; None as long as it was not asked."""

    key: str
    name: str
    complaint: str | None = None


BROKEN_OFF = Row(key="", name="The examination", complaint="It could not be finished; the log says why.")


class Checkup:
    """One examination at a time; `rows` is how far it has come. `run` calls a function in a thread."""

    def __init__(self, run: Run = deferToThread) -> None:
        self._run = run
        self._is_running = False
        self.rows: list[Row] = []

    async def begin(self, server: "Server", key: str) -> None:
        """Plays all clients' parts, unless that goes on already; `key` lists the models."""
        if self._is_running:
            return
        self._is_running = True
        from ..doctor.clients import clients

        try:
            models = await self._run(server.models, {"Authorization": f"Bearer {key}"})
            patients = clients(models)
            self.rows = [Row(key=each.key, name=each.name) for each in patients]
            for row, client in zip(self.rows, patients, strict=True):
                row.complaint = await self._run(_complaint, client, server)
        except Exception:
            self.rows = [row for row in self.rows if row.complaint is not None] + [BROKEN_OFF]
            raise
        finally:
            self._is_running = False


def _complaint(client: "Client", server: "Server") -> str:
    from ..doctor.replay import examine

    return str(examine(client, server.ask) or "")
