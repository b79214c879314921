"""What Twisted's TCP transports do not offer: to send at once where nothing waits, and small buffers in the kernel.

Nothing outside this room looks into a transport.
"""

import socket
from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard, cast

from twisted.internet.interfaces import IConnector, ITransport
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.tcp import Connection, Port
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy


def write(transport: ITransport, data: bytes) -> None:
    """Does what `transport.write` does; on TCP what the socket takes now is sent now.

    That saves a system call to watch the socket, another to stop watching it, and a turn of the reactor. Order is
    kept: as long as anything waits in the transport's buffers, `data` waits behind it. What the socket does not take
    goes the usual way, and so does an error: the transport meets it again, and reports it, when it is ready.
    """
    if (
        isinstance(transport, Connection)
        and not (transport.dataBuffer or transport._tempDataBuffer or transport.TLS)
        and transport.connected
        and not transport.disconnecting
    ):
        try:
            sent = transport.socket.send(data)
        except OSError:
            sent = 0
        if sent == len(data):
            return
        data = data[sent:]
    transport.write(data)


def waiting(transport: ITransport) -> int:
    """Bytes that wait in the buffers of a TCP transport; 0 for any other, which does not tell."""
    if not isinstance(transport, Connection):
        return 0
    return len(transport.dataBuffer) - transport.offset + transport._tempDataLen


def unsent(transport: ITransport) -> bytes:
    """What waits in the buffers of a TCP transport."""
    assert isinstance(transport, Connection)
    return b"".join([transport.dataBuffer[transport.offset :], *transport._tempDataBuffer])


def before_loss(transport: ITransport, call: Callable[[], None]) -> None:
    """Has `call` run before a TCP transport that has lost its connection closes the socket.

    Whoever sends learns first that the other side has hung up, and would never hear what it said before that.
    """
    if not isinstance(transport, Connection):
        return
    transport.connectionLost = partial(_last_call, transport, call)  # type: ignore[method-assign]


def _last_call(transport: Connection, call: Callable[[], None], reason: Failure) -> None:
    del transport.connectionLost
    if transport.connected and not transport.disconnecting:
        call()
    transport.connectionLost(reason)


def forget_connecting(transport: ITransport) -> None:
    """Lets go of what it took to connect, which an endpoint keeps for as long as the connection lasts."""
    factory: Any = getattr(getattr(transport, "connector", None), "factory", None)
    if hasattr(factory, "_onConnection"):
        factory._onConnection = None


def release(transport: ITransport) -> None:
    """Ends a TCP transport, but not its connection: another process has the socket, too, and goes on with it."""
    assert isinstance(transport, Connection)
    transport._shouldShutdown = False
    # The reactor may have found it ready to be written in the same look as to be read, which ended it.
    transport.doWrite = lambda: None  # type: ignore[method-assign]
    transport.connectionLost(Failure(CONNECTION_DONE))


class LimitedReceiving:
    """A reactor on whose connections the kernel keeps about twice `size` bytes that were not read, not megabytes.

    The limit is set before a connection is made, so that the other side hears of it with the first packet. One that
    shrinks the window of a connection that stands leaves less room in it than a segment of the loopback interface
    takes, for which the other side waits until a timer of 200 ms lets it send what little there is room for.
    """

    def __init__(self, reactor: Any, size: int) -> None:
        self._reactor = reactor
        self._size = size
        directlyProvides(self, providedBy(reactor))

    def connectTCP(self, *address: Any, **how: Any) -> IConnector:
        """See `IReactorTCP`. The socket is there when this returns, and connects in the reactor's next turn."""
        connector = self._reactor.connectTCP(*address, **how)
        transport = getattr(connector, "transport", None)
        if isinstance(transport, Connection):
            transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._size)
        return cast(IConnector, connector)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


def listens_on_tcp(port: object) -> TypeGuard[Port]:
    """Whether a port does; to Twisted one for a Unix socket is of that kind as well."""
    return isinstance(port, Port) and port.addressFamily != socket.AF_UNIX


def limit_unsent(port: object, size: int) -> None:
    """Has the kernel take at most `size` bytes that it cannot send yet, on each connection of a listening TCP port.

    What is on its way is not limited, and so neither is the speed. Linux and macOS; elsewhere nothing changes.
    """
    if listens_on_tcp(port) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)
