"""The cable between an app and the server, which a test can pull."""

from typing import Any, cast

from twisted.internet import reactor as installed_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress, IListeningPort, ITCPTransport
from twisted.protocols.portforward import ProxyFactory, ProxyServer

from tests.acceptance.program import HOST

reactor: Any = installed_reactor


class Cable(ProxyFactory):
    """Carries every connection to the server's port; `pull` breaks those of the moment, and later ones go through."""

    noisy = False

    def __init__(self, port: int) -> None:
        super().__init__(HOST, port)
        self._ends: list[ProxyServer] = []
        self._port: IListeningPort

    async def lay(self) -> int:
        """The port at the app's end."""
        self._port = await TCP4ServerEndpoint(reactor, 0, interface=HOST).listen(self)
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)
        return address.port

    def buildProtocol(self, addr: IAddress | None) -> ProxyServer | None:
        end = super().buildProtocol(addr)
        if end is not None:
            self._ends.append(end)
        return end

    def pull(self) -> None:
        """Breaks what is connected."""
        ends, self._ends = self._ends, []
        for end in ends:
            cast(ITCPTransport, end.transport).abortConnection()

    async def take_away(self) -> None:
        """Ends it; apps keep their connections for later."""
        self.pull()
        await maybeDeferred(self._port.stopListening)
