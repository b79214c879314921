"""What only a real socket does: closing one half, and TLS."""

from pathlib import Path

from msgspec import json
from twisted.internet.endpoints import SSL4ClientEndpoint, TCP4ClientEndpoint
from twisted.internet.ssl import CertificateOptions, KeyPair

from tests.web.sockets import Peer, SocketCase, post, reactor
from tests.web.test_routes import OLLAMA, ask

BODY = json.encode(ask())
CHAT = post(OLLAMA, BODY)


class HalfCloseTests(SocketCase):
    async def client(self) -> Peer:
        port = await self.listen()
        return await self.connect(TCP4ClientEndpoint(reactor, "127.0.0.1", port))

    async def test_client_that_sends_no_more_gets_what_it_asked_for(self) -> None:
        peer = await self.client()
        peer.transport.write(b"GET /api/version HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
        peer.transport.loseWriteConnection()
        await peer.lost
        self.assertEqual(peer.heard.count(b'"version"'), 3)

    async def test_client_that_closes_its_half_in_the_middle_of_a_turn_stops_the_model(self) -> None:
        peer = await self.client()
        peer.transport.write(CHAT)
        call = await self.next_call()
        call.say("Hi")
        await peer.hear(b"Hi")
        peer.transport.loseWriteConnection()
        await peer.lost
        self.assertTrue(call.cancelled)


class TlsTests(SocketCase):
    async def test_endpoint_with_tls_streams_a_chat_over_http_1_1(self) -> None:
        file = Path(self.mktemp())
        file.write_bytes(KeyPair.generate(size=2048).selfSignedCert(1, CN=b"localhost").dumpPEM())
        port = await self.listen(f"ssl:0:interface=127.0.0.1:privateKey={file}")
        options = CertificateOptions(acceptableProtocols=[b"h2", b"http/1.1"])
        peer = await self.connect(SSL4ClientEndpoint(reactor, "127.0.0.1", port, options))
        # A name bent to this address would not match the certificate, so any name will do.
        peer.transport.write(post(OLLAMA, BODY, host="agent.example.org"))
        call = await self.next_call()
        self.assertEqual(peer.transport.negotiatedProtocol, b"http/1.1")
        call.say("Hi")
        await peer.hear(b"Hi")
        call.finish()
        await peer.hear(b"0\r\n\r\n")
        self.assertEqual([line["done"] for line in peer.response().lines()], [False, True])
