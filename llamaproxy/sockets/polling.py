"""Reads sockets by an epoll of their own, which is a single descriptor to the reactor.

For each event the reactor looks up who it is for, switches the log's context and asks for the descriptor once more,
which costs as much as all that is done with a token. Here one call of the reactor serves every socket that is ready,
in three steps: all are read, then all that was read is worked on, then all that came of it is sent (see `sending`).
The processor's caches hold one step at a time, and that is worth another tenth.

Only the reading moves here. Writing, closing and the connection's end stay the transport's: whatever is not data (the
end of the stream, an error) is left in the socket, and the reading is handed back for the reactor to find it there.
"""

import select
from collections.abc import Callable
from time import monotonic
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from .eager import waiting
from .sending import together

# Sockets that are served together.
AT_ONCE = 64
# Seconds after which the reactor gets to see to its timers and everybody else's, though others are still ready.
LONGEST_TURN = 0.02
# Seconds of other work after which they have a turn in the middle of it.
LONGEST_WAIT = 0.01


class Breaks:
    """The turns that sockets of a `Poll` have in the middle of other work.

    When a crowd arrives, one call of the reactor brings requests whose parsing takes longer than a token may wait.
    Whoever does such work calls `take` between two pieces of it.
    """

    __slots__ = ("last", "polls")

    def __init__(self) -> None:
        # Those that watch any socket, and when one of them was last served.
        self.polls: set[Poll] = set()
        self.last = 0.0

    def take(self) -> None:
        """Serves the sockets that are ready, if they have waited; to be called where nothing is half done."""
        if not together.depth and monotonic() - self.last > LONGEST_WAIT:
            for poll in list(self.polls):
                poll.doRead()


# One for the process, as `together` is.
breaks = Breaks()


@implementer(IReadDescriptor)
class Poll:
    """The sockets of one kind, say those to the models' servers; in the reactor while there is any to watch."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._epoll: Any = None
        self._readings: dict[int, PolledReading] = {}

    def reading(self, transport: Any, protocol: Protocol, size: int) -> "Reading":
        """What reads for `protocol` from now on, at most `size` bytes at a time; it runs already.

        It is the transport that reads if it is not TCP, or has something to write, or where there is no epoll.
        """
        if isinstance(transport, Connection) and hasattr(select, "epoll") and not waiting(transport):
            transport.stopReading()
            reading: Reading = PolledReading(self, transport, protocol, size)
        else:
            transport.bufferSize = size
            reading = Reading(transport)
        reading.resume()
        return reading

    def watch(self, fd: int, reading: "PolledReading") -> None:
        """Begins to watch a descriptor."""
        if self._epoll is None:
            self._epoll = select.epoll()
        self._epoll.register(fd, select.EPOLLIN)
        if not self._readings:
            breaks.polls.add(self)
            self._reactor.addReader(self)
        self._readings[fd] = reading

    def forget(self, fd: int, *, is_open: bool = True) -> None:
        """Watches a descriptor no more; the kernel forgets one that is closed by itself."""
        del self._readings[fd]
        if is_open:
            self._epoll.unregister(fd)
        if not self._readings:
            breaks.polls.remove(self)
            self._reactor.removeReader(self)

    # -- what the reactor sees

    def fileno(self) -> int:
        """The epoll's own descriptor, ready when any of its sockets is."""
        return int(self._epoll.fileno())

    def doRead(self) -> None:
        """Reads from every socket that is ready, as far as there is time for it."""
        until = monotonic() + LONGEST_TURN
        for _ in range(0, len(self._readings), AT_ONCE):
            served = self._serve()
            breaks.last = monotonic()
            if served < AT_ONCE or breaks.last > until:
                return

    def _serve(self) -> int:
        """Serves some that are ready; says how many."""
        find = self._readings.get
        # A child process that is just being started may keep a socket open that is closed here.
        ready = [reading for fd, _ in self._epoll.poll(0, AT_ONCE) if (reading := find(fd)) is not None]
        received = [(reading, reading.receive()) for reading in ready]
        with together:
            for reading, data in received:
                reading.deliver(data)
        return len(ready)

    def logPrefix(self) -> str:
        """The log's context of all that is read here."""
        return "-"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor lets everything go."""
        for reading in list(self._readings.values()):
            reading.lose(reason)


class Reading:
    """The reading of one connection, by its transport."""

    __slots__ = ("_transport",)

    is_polled = False

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def pause(self) -> None:
        """Leaves what comes in the socket. Needed before the connection is closed from this side as well."""
        if not self._transport.disconnecting:
            self._transport.pauseProducing()

    def resume(self) -> None:
        """Reads on."""
        self._transport.resumeProducing()

    def lost(self) -> None:
        """The connection is lost: its descriptor is closed, and may be another's by now."""


class PolledReading(Reading):
    """The reading of one connection, by a `Poll`."""

    __slots__ = ("_fd", "_poll", "_protocol", "_receive", "_size", "_watched")

    is_polled = True

    def __init__(self, poll: Poll, transport: Connection, protocol: Protocol, size: int) -> None:
        super().__init__(transport)
        self._poll = poll
        self._protocol = protocol
        self._size = size
        self._fd = transport.fileno()
        self._receive: Callable[[int], bytes] = transport.socket.recv
        self._watched = False

    def receive(self) -> bytes | None:
        """What is in the socket: None if there is nothing after all, nothing but b"" at its end or with an error."""
        try:
            return self._receive(self._size)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def deliver(self, data: bytes | None) -> None:
        """Hands on what was received; also if the reading was paused since, by what another connection received."""
        try:
            if data:
                self._protocol.dataReceived(data)
            elif data is not None and self._watched:
                # The reactor shall find the end by itself, and report it.
                self.pause()
                self._transport.startReading()
        except Exception:
            self._poll.log.failure("while reading from a connection")
            self.pause()
            self._transport.abortConnection()

    def lose(self, reason: Failure) -> None:
        """Ends the connection."""
        self._transport.connectionLost(reason)

    def pause(self) -> None:
        """See `Reading.pause`."""
        if self._watched:
            self._watched = False
            self._poll.forget(self._fd)

    def resume(self) -> None:
        """See `Reading.resume`."""
        if not self._watched:
            self._watched = True
            self._poll.watch(self._fd, self)

    def lost(self) -> None:
        """See `Reading.lost`."""
        if self._watched:
            self._watched = False
            self._poll.forget(self._fd, is_open=False)
