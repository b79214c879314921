"""What one connection's writer has to send: at once, or together with all the others' once a batch of work is done.

A thousand streams share one processor, and every system call in between turns its caches over. While a batch of
readings is served (see `polling`), what is written waits, and then goes out in one row of calls.
"""

from types import TracebackType
from typing import Any

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection
from twisted.logger import Logger

from .eager import waiting, write


class Together:
    """While this is entered, what senders are given waits; on the way out it is sent, a connection at a time."""

    __slots__ = ("depth", "senders")

    def __init__(self) -> None:
        self.depth = 0
        # Those with something that waits.
        self.senders: list[Sender] = []

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if not self.depth and self.senders:
            senders, self.senders = self.senders, []
            for sender in senders:
                sender.flush()


# One for the process: it has one reactor, whose calls do not overlap.
together = Together()


class Sender:
    """Sends on one connection, in order. Whoever writes past it says so with `distrust`.

    It knows without a look into the transport whether anything waits there, as long as nobody else writes.
    """

    __slots__ = ("_clear", "_queued", "_send", "_transport", "_unsent")

    log = Logger()

    def __init__(self, transport: ITransport) -> None:
        self._transport = transport
        # Not for TLS, whose transport is another.
        self._send: Any = transport.socket.send if isinstance(transport, Connection) else None
        self._clear = self._queued = False
        self._unsent = b""

    def write(self, data: bytes) -> None:
        """Sends `data` at once, or at the end of what is under way."""
        self._unsent = self._unsent + data if self._unsent else data
        if not together.depth:
            self.flush()
        elif not self._queued:
            self._queued = True
            together.senders.append(self)

    def hold(self, data: bytes) -> None:
        """Keeps `data` for the next write, or `flush`, to take along."""
        self._unsent += data

    def distrust(self) -> None:
        """Looks into the transport before the next bytes: somebody may have written there."""
        self._clear = False

    def flush(self) -> None:
        """Sends what waits here."""
        data, self._unsent, self._queued = self._unsent, b"", False
        if self._clear and data:
            try:
                sent = self._send(data)
            except OSError:
                sent = 0
            if sent == len(data):
                return
            # The rest waits in the transport, and meets the error again, if it was one.
            self._clear = False
            data = data[sent:]
        if data:
            try:
                write(self._transport, data)
            except Exception:
                # A producer's, told to pause.
                self.log.failure("while sending")
            self._clear = self._send is not None and not waiting(self._transport)
