import socket
from typing import Any, cast
from unittest import SkipTest

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.sockets.accepting import ease

reactor = cast(Any, global_reactor)


class Echo(Protocol):
    """Says everything twice."""

    def connectionMade(self) -> None:
        factory = cast(Echoes, self.factory)
        factory.accepted.append(self.transport)
        if len(factory.accepted) == factory.most:
            factory.all_here.callback(None)

    def dataReceived(self, data: bytes) -> None:
        transport = cast(Server, self.transport)
        transport.write(data * 2)
        transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        factory = cast(Echoes, self.factory)
        factory.lost += 1
        if factory.lost == factory.most:
            factory.all_gone.callback(None)


class Echoes(Factory):
    protocol = Echo
    noisy = False

    def __init__(self, most: int) -> None:
        self.most, self.lost = most, 0
        self.accepted: list[Any] = []
        self.all_here: Deferred[None] = Deferred()
        self.all_gone: Deferred[None] = Deferred()


class AcceptingTests(TestCase):
    async def meet(self, interface: str, most: int, eased: bool = True) -> tuple[Echoes, list[socket.socket]]:
        factory = Echoes(most)
        port = reactor.listenTCP(0, factory, interface=interface)
        self.addCleanup(port.stopListening)
        if eased:
            ease(port)
        clients = [socket.create_connection((interface, port.getHost().port), 5) for _ in range(most)]
        for client in clients:
            self.addCleanup(client.close)
        await factory.all_here
        return factory, clients

    async def converse(self, interface: str) -> None:
        factory, clients = await self.meet(interface, 3)
        for transport, client in zip(factory.accepted, clients, strict=True):
            self.assertEqual((transport.getPeer().host, transport.getPeer().port), client.getsockname()[:2])
            self.assertEqual((transport.getHost().host, transport.getHost().port), client.getpeername()[:2])
        for client in clients:
            client.send(b"hello")
        await factory.all_gone
        self.assertEqual([client.recv(99) for client in clients], [b"hellohello"] * 3)
        self.assertEqual([client.recv(99) for client in clients], [b""] * 3)

    async def test_connections_know_both_their_ends_and_carry_what_is_said(self) -> None:
        await self.converse("127.0.0.1")

    async def test_connections_over_ipv6_do_as_well(self) -> None:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            raise SkipTest("this machine has no IPv6") from None
        await self.converse("::1")

    async def test_address_of_this_end_is_kept_once_for_all(self) -> None:
        factory, _ = await self.meet("127.0.0.1", 2)
        one, other = factory.accepted
        self.assertIs(one.getHost(), other.getHost())

    async def test_they_are_what_twisted_would_have_made(self) -> None:
        [ours], [theirs] = [(await self.meet("127.0.0.1", 1, eased))[0].accepted for eased in (True, False)]
        self.assertIsInstance(ours, Server)
        for transport in (ours, theirs):
            self.assertEqual(transport.logPrefix(), f"Echo,0,{transport.getPeer().host}")
        missing = set(vars(theirs)) - set(vars(ours))
        self.assertEqual(missing, {"repstr"})
        self.assertIn("Echo", repr(ours))

    def test_port_of_another_kind_stays_as_it_is(self) -> None:
        port = object()
        ease(port)
