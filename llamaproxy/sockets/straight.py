"""Connects over TCP straight to an address.

Twisted's way has a connector, a factory and a protocol around the real ones, a turn of the reactor before the first
packet, and a log's name for each connection. That is most of what a connection costs, of which a crowd's first messages
make a thousand at once, and some of it stays for as long as the connection does.
"""

import socket
from errno import EALREADY, EINPROGRESS, EISCONN
from os import strerror
from typing import Any

from twisted.internet import error as net
from twisted.internet.abstract import isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    IWriteDescriptor,
)
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from zope.interface import implementer


class Outgoing(Connection):
    """The transport of a connection that was made from here. It reads once it is told to.

    A protocol's `hearOut` is called when the connection is lost, and before the socket is closed; see `before_loss`.
    """

    logstr = "outgoing"

    def connectionLost(self, reason: Failure) -> None:
        """See `Connection`."""
        if self.connected and not self.disconnecting and (call := getattr(self.protocol, "hearOut", None)):
            call()
        super().connectionLost(reason)


def goes_straight(reactor: Any) -> bool:
    """Whether a reactor can be had to watch any socket."""
    return isinstance(reactor, PosixReactorBase)


@implementer(IStreamClientEndpoint)
class Straight:
    """The way to `address`, which is one and no name. The kernel keeps about twice `size` bytes that were not read."""

    def __init__(self, reactor: Any, address: str, port: int, timeout: float, size: int) -> None:
        self.reactor = reactor
        is_newer = isIPv6Address(address)
        self.family = socket.AF_INET6 if is_newer else socket.AF_INET
        self.address = (address, port)
        self.peer = IPv6Address("TCP", address, port) if is_newer else IPv4Address("TCP", address, port)
        self.timeout = timeout
        self.size = size

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See `IStreamClientEndpoint`. It may be connected when this returns."""
        return _Attempt(self, protocolFactory).begin()


@implementer(IWriteDescriptor)
class _Attempt:
    """One socket until it is connected, which is when it can be written."""

    __slots__ = ("_done", "_factory", "_socket", "_timer", "_way")

    _socket: socket.socket

    def __init__(self, way: Straight, factory: IProtocolFactory) -> None:
        self._way = way
        self._factory = factory
        self._done: Deferred[IProtocol] = Deferred(self._cancelled)
        self._timer: IDelayedCall | None = None

    def begin(self) -> Deferred[IProtocol]:
        """Sends the first packet."""
        way = self._way
        try:
            self._socket = socket.socket(way.family, socket.SOCK_STREAM)
        except OSError as error:
            self._done.errback(_error(error.errno or 0))
            return self._done
        self._socket.setblocking(False)
        # Before it is connected, so that the other side hears of it with the first packet.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, way.size)
        try:
            found = self._socket.connect_ex(way.address)
            if found == EINPROGRESS:
                # On the same machine it is over by now.
                found = self._socket.connect_ex(way.address)
        except OSError as error:
            found = error.errno or 0
        if found in (EALREADY, EINPROGRESS):
            way.reactor.addWriter(self)
            self._timer = way.reactor.callLater(way.timeout, self._fail, net.TimeoutError())
        elif found not in (0, EISCONN):
            self._fail(_error(found))
        else:
            self._connected()
        return self._done

    def _connected(self) -> None:
        protocol = self._factory.buildProtocol(self._way.peer)
        assert protocol is not None
        transport = Outgoing(self._socket, protocol, self._way.reactor)
        transport.connected = 1
        protocol.makeConnection(transport)
        self._done.callback(protocol)

    def _fail(self, error: Exception) -> None:
        self._let_go()
        self._socket.close()
        self._done.errback(error)

    def _cancelled(self, _: object) -> None:
        self._let_go()
        self._socket.close()

    def _let_go(self) -> None:
        """Nothing is waited for any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            self._way.reactor.removeWriter(self)
            if timer.active():
                timer.cancel()

    # -- what the reactor sees

    def fileno(self) -> int:
        """The socket's."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """The log's context of what happens with the first bytes."""
        return "-"

    def doWrite(self) -> None:
        """It is connected, or could not be; or this was meant for one that had the socket's number just before."""
        found = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        found = found or self._socket.connect_ex(self._way.address)
        if found in (0, EISCONN):
            self._let_go()
            self._connected()
        elif found not in (EALREADY, EINPROGRESS):
            self._fail(_error(found))

    def connectionLost(self, reason: Failure) -> None:
        """It could not be connected, or the reactor lets everything go."""
        found = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._fail(_error(found))


def _error(number: int) -> Exception:
    return net.getConnectError((number, strerror(number))) if number else net.ConnectError()
