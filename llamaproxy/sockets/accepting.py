"""How connections are accepted: with less work for each, and less kept of it, than Twisted's own.

A crowd is accepted at once, before anybody in it is answered.
"""

import socket
from functools import lru_cache
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.tcp import Connection, Port, Server

from .eager import listens_on_tcp


def ease(port: object) -> None:
    """Has a listening TCP port accept so; any other stays as it is."""
    if listens_on_tcp(port):
        port.transport = Accepted
        port.socket = Listener(fileno=port.socket.detach())
        port.socket.setblocking(False)
        port.fileno = port.socket.fileno  # type: ignore[method-assign]


class Listener(socket.socket):
    """A socket that knows its family and type, which Python else works out with each connection, by an enumeration."""

    # In the place of the properties.
    family: Any = None
    type: Any = None

    def __init__(self, fileno: int) -> None:
        super().__init__(fileno=fileno)
        self.family, self.type = super().family, super().type


class Accepted(Server):
    """An accepted connection. It has no words for itself ready, and shares the address of its own end."""

    def __init__(
        self, sock: socket.socket, protocol: Any, client: Any, server: Port, sessionno: int, reactor: Any
    ) -> None:
        Connection.__init__(self, sock, protocol, reactor)
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server, self.client, self.sessionno = server, client, sessionno
        self.hostname = client[0]
        self.logstr = f"{protocol.__class__.__name__},{sessionno},{self.hostname}"
        self.startReading()
        self.connected = 1

    def __repr__(self) -> str:
        return f"<{self.logstr}>"

    def getHost(self) -> IPv4Address | IPv6Address:
        """See `ITransport`."""
        name = self.socket.getsockname()
        return _end(*name) if len(name) == 2 else super().getHost()


@lru_cache(maxsize=256)
def _end(host: str, port: int) -> IPv4Address:
    return IPv4Address("TCP", host, port)
