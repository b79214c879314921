"""Hands a connection to the worker whose session its next request is for: the socket itself, and what was read of it.

Nothing is relayed: once handed over, a connection is its new worker's alone. Each worker has an inbox, a pair of
sockets that the supervisor keeps open too. What is on its way while a worker is dead waits there for its successor.
"""

import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..seams.errors import AgentError
from ..sockets.eager import release, unsent
from ..web.site import FrontChannel, FrontSite, Intake
from .steering import owner_of

# Bytes of a packet: what the client has yet to take of an answer, the head of a request, and what came behind it.
LARGEST = 192 * 1024
# Bytes of packets that may wait in an inbox, as far as the kernel allows.
ROOM = 1024 * 1024
# Seconds that a connection waits for room in an inbox, which is longer than a worker takes to start.
PATIENCE = 10.0
# Packets taken out of the inbox before the reactor has its turn.
BATCH = 64


class WorkerAway(AgentError):
    """The session's worker does not take the connection."""

    status, code = 503, "worker_unavailable"


class _Moving(Exception):
    """The request is for another worker, and read no further here."""


def inbox_pair() -> tuple[socket.socket, socket.socket]:
    """An inbox: the end to read from, and the end to write to, which many may share as packets stay whole."""
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (reading, writing):
        end.setblocking(False)
    writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return reading, writing


class Outbox(FileDescriptor):
    """The way to one other worker. Connections wait here while its inbox is full."""

    log = Logger()

    def __init__(self, reactor: Any, end: socket.socket) -> None:
        super().__init__(reactor)
        self._clock = reactor
        self._end = end
        self._waiting: dict[MovableChannel, tuple[bytes, IDelayedCall]] = {}

    def fileno(self) -> int:
        """For the reactor."""
        return self._end.fileno()

    def take(self, channel: "MovableChannel", received: bytes) -> None:
        """Hands the connection over, with what was read of its next requests."""
        if self._waiting or not self._taken(channel, received):
            self._waiting[channel] = received, self._clock.callLater(PATIENCE, self._expired, channel)
            self.startWriting()

    def forget(self, channel: "MovableChannel") -> None:
        """The connection does not wait any more."""
        _, expiry = self._waiting.pop(channel, (b"", None))
        if expiry is not None and expiry.active():
            expiry.cancel()

    def doWrite(self) -> None:
        """There may be room again."""
        while self._waiting:
            channel, (received, _) = next(iter(self._waiting.items()))
            if not self._taken(channel, received):
                return
            self.forget(channel)
        self.stopWriting()

    def _taken(self, channel: "MovableChannel", received: bytes) -> bool:
        """Whether it is off our hands: handed over, or refused."""
        transport = channel.transport
        left = unsent(transport)
        packet = len(left).to_bytes(4, "big") + left + received
        if len(packet) > LARGEST:
            # Of a client that sends request after request, and does not take the answers.
            channel.refuse(WorkerAway("The request cannot be passed on before earlier answers are read."))
            return True
        try:
            socket.send_fds(self._end, [packet], [transport.getHandle().fileno()])
        except BlockingIOError:
            return False
        except OSError as error:
            self.log.error("a connection could not be handed over: {error}", error=str(error))
            channel.refuse(WorkerAway("The request could not be passed on within the server. Try again."))
        else:
            release(transport)
        return True

    def _expired(self, channel: "MovableChannel") -> None:
        self.forget(channel)
        channel.refuse(WorkerAway("The part of the server that has this session is away. Try again."))


class Inbox(FileDescriptor):
    """Takes what other workers hand over, and gives socket, unsent and received bytes to `arrived`."""

    def __init__(
        self, reactor: Any, end: socket.socket, arrived: Callable[[socket.socket, bytes, bytes], None]
    ) -> None:
        super().__init__(reactor)
        self._end = end
        self._arrived = arrived

    def fileno(self) -> int:
        """For the reactor."""
        return self._end.fileno()

    def doRead(self) -> None:
        """Something is there."""
        for _ in range(BATCH):
            try:
                packet, handles, _, _ = socket.recv_fds(self._end, LARGEST, 1, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            for handle in handles:
                start = 4 + int.from_bytes(packet[:4], "big")
                self._arrived(socket.socket(fileno=handle), packet[4:start], packet[start:])

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Never by itself: the supervisor has the other end open as long as it lives."""
        super().connectionLost(reason)


class Handover:
    """Which worker a request belongs to, and the ways there. `here` is this worker's number, counted from 0."""

    log = Logger()

    def __init__(self, reactor: Any, here: int, inbox: socket.socket, ways: Sequence[socket.socket]) -> None:
        self._reactor = reactor
        self._here = here
        self._inbox = Inbox(reactor, inbox, self._adopt)
        self._outboxes = [Outbox(reactor, way) for way in ways]
        self._site: FrontSite | None = None

    def serve(self, site: FrontSite) -> None:
        """Has the site's connections move where they belong, and those of others come in."""
        self._site = site
        site.protocol = lambda: MovableChannel(self)
        self._inbox.startReading()

    def stop(self) -> None:
        """Takes nothing in and hands nothing over any more."""
        self._inbox.stopReading()
        for outbox in self._outboxes:
            outbox.stopWriting()

    def way_of(self, request: Intake) -> Outbox | None:
        """Where the request has to go; None if it is right here.

        Whatever takes a turn in a session is a POST; what is asked in another way can be answered by any worker.
        """
        channel = request.channel
        if request.head is None:
            request.place()
        assert request.head is not None
        if request.head.target.startswith((b"/console", b"/pair")):
            # Who has come in there, and the links, are in one worker.
            return self._outboxes[0] if self._here else None
        if request.head.method != b"POST":
            return None
        try:
            session_id = channel.site.guard.caller(request).session_id
        except AgentError:
            return None  # It is answered so, which anybody can do.
        owner = owner_of(session_id, len(self._outboxes))
        return None if owner == self._here else self._outboxes[owner]

    def forget(self, channel: "MovableChannel") -> None:
        """The connection is gone."""
        for outbox in self._outboxes:
            outbox.forget(channel)

    def _adopt(self, handle: socket.socket, left: bytes, received: bytes) -> None:
        """Goes on with a connection where another worker left off."""
        assert self._site is not None
        newcomer = _Newcomer(self._site)
        with handle:
            try:
                transport = self._reactor.adoptStreamConnection(handle.fileno(), handle.family, newcomer)
            except OSError:
                return  # The client has left already, so the socket has no address any more.
        try:
            if left:
                transport.write(left)
            newcomer.channel.dataReceived(received)
            if self._site.closing:
                newcomer.channel.close()
        except Exception:
            # As the reactor does it, were the connection its own; the inbox must not suffer for it.
            self.log.failure("while taking over a connection")
            transport.abortConnection()


class _Newcomer(Factory):
    """Builds one channel of the site, and keeps it."""

    noisy = False
    channel: FrontChannel

    def __init__(self, site: FrontSite) -> None:
        self._site = site

    def buildProtocol(self, addr: IAddress | None) -> FrontChannel:
        """For the connection that is adopted."""
        self.channel = self._site.buildProtocol(addr)
        return self.channel


class MovableChannel(FrontChannel):
    """A connection that is handed over when a request is for another worker; it keeps the request's head for that."""

    transport: Connection

    def __init__(self, handover: Handover) -> None:
        super().__init__()
        self._handover = handover
        self._head: list[bytes] = []
        self._moving = False

    def lineReceived(self, line: bytes) -> bool:
        """Parses a line of the head; True stops the parser."""
        self._head.append(line.removesuffix(b"\r"))
        try:
            return super().lineReceived(line)
        except _Moving:
            return True

    def allHeadersReceived(self) -> None:
        """The head is there, and nothing was said to the client yet, nor any of the body taken."""
        head, self._head = self._head, []
        if self.departs(b"".join(line + b"\r\n" for line in head) + self._buffer):
            self.clearLineBuffer()
            raise _Moving
        super().allHeadersReceived()

    def departs(self, data: bytes) -> bool:
        """See `FrontChannel.departs`; `data` is the request as far as it is there."""
        way = self._handover.way_of(self.requests[-1])
        if way is None:
            return False
        self.setTimeout(None)
        self.sender.flush()
        # Or this would be told to read on when earlier answers are out, and the body not be with its head.
        self.transport.unregisterProducer()
        self.transport.pauseProducing()
        self._moving = True
        way.take(self, data)
        return True

    def resumeProducing(self) -> None:
        """The client has taken what was sent. That may end an answer, and the request behind it be on its way now."""
        super().resumeProducing()
        if self._moving and self.transport.connected:
            # What comes is the rest of that request, which is its new worker's to read.
            self.transport.pauseProducing()

    def refuse(self, error: AgentError) -> None:
        """It cannot be handed over: the client is told so."""
        self._moving = False
        self.transport.resumeProducing()
        self._give_up(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, or somebody else's now."""
        super().connectionLost(reason)
        self._handover.forget(self)
