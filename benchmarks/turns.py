"""People who send messages at a rate of their own, however slowly they are answered: what a whole turn takes them."""

from collections import deque
from collections.abc import Sequence
from time import monotonic

from msgspec import Struct

from .clients import Client, Crowd
from .machine import cpu_seconds
from .servers import Server
from .table import percentile

END = b"0\r\n\r\n"
# Seconds of the same before what is measured.
SETTLE = 1.0


class Figures(Struct, frozen=True, kw_only=True):
    """What turns took, in seconds; `cost` and `database` are processor time a turn. `late` is what share of the turns
    could not be sent at their time, as all people waited for an answer."""

    turns: float
    p50: float
    p99: float
    cost: float
    database: float
    late: float


class People(Crowd):
    """Each talks in a session of their own, over a connection that stays, to the same server each time."""

    def __init__(self, servers: Sequence[Server], count: int, first: int = 0) -> None:
        super().__init__()
        self._servers = servers
        self._ends: dict[Client, bytes] = {}
        self.took: list[float] = []
        self._free: deque[Client] = deque()
        self._server_of: dict[Client, Server] = {}
        for number in range(count):
            server = servers[number % len(servers)]
            (client,) = self.connect(server.port, [server.request("hello")], first + number)
            self._server_of[client] = server
        # Everybody's first turn, which makes the session.
        self.run(60.0, self._heard, until=lambda: len(self._free) == count)
        if len(self._free) < count:
            raise SystemExit("not everybody was answered")

    def measure(self, rate: float, seconds: float, database: int = 0) -> Figures:
        """Sends that many messages a second; `database` is its process, if there is one."""
        self._talk(rate, SETTLE)
        self.took = []
        before, database_before = self._cost(), cpu_seconds(database) if database else 0.0
        begun = monotonic()
        late = self._talk(rate, seconds)
        took, turns = monotonic() - begun, len(self.took) or 1
        self.took.sort()
        return Figures(
            turns=turns / took,
            p50=percentile(self.took, 0.5),
            p99=percentile(self.took, 0.99),
            cost=(self._cost() - before) / turns,
            database=(cpu_seconds(database) - database_before) / turns if database else 0.0,
            late=late / turns,
        )

    def _cost(self) -> float:
        return sum(server.cpu() for server in self._servers)

    def _talk(self, rate: float, seconds: float) -> int:
        """Returns how many messages had to wait for somebody who could send them."""
        begun, sent, late = monotonic(), 0, 0
        while (now := monotonic()) < begun + seconds:
            while sent < (now - begun) * rate:
                sent += 1
                if not self._free:
                    late += 1
                    continue
                client = self._free.popleft()
                client.asked = monotonic()
                client.socket.send(self._server_of[client].request(f"message {sent}"))
            self.run(min(0.001, 0.5 / rate), self._heard)
        self.run(5.0, self._heard, until=lambda: len(self._free) == len(self.clients))
        return late

    def _heard(self, client: Client, data: bytes, now: float) -> None:
        # An end may come in two pieces.
        if (self._ends.get(client, b"") + data).endswith(END):
            self.took.append(now - client.asked)
            self._free.append(client)
        self._ends[client] = data[-len(END) :]
