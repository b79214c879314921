"""TLS to a model's server, with what is wrong told as that. The handshake is the point: sockets are real."""

import socket
from pathlib import Path
from typing import Any

from service_identity import CertificateError
from twisted.internet import reactor as installed_reactor
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.trial.unittest import TestCase

from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.seams.errors import ModelError, ModelUnavailable
from tests.acceptance.test_tls import write_certificate

from ..fakes import HELLO, Listener

reactor: Any = installed_reactor


class Silent(Protocol):
    """Counts the connections, and says nothing."""

    connections = 0

    def connectionMade(self) -> None:
        Silent.connections += 1


class TLSTests(TestCase):
    timeout = 20

    def setUp(self) -> None:
        Silent.connections = 0

    def listen(self, port: IListeningPort) -> int:
        self.addCleanup(port.stopListening)
        host: Any = port.getHost()
        return int(host.port)

    async def error(self, port: int, host: str = "127.0.0.1", **fields: Any) -> ModelError:
        """Why the model cannot be asked."""
        context = model_context(reactor, lambda name: None, Home(Path("/nowhere")))
        self.addCleanup(context.close)
        entry = ModelEntry(type="OPENAI", model_id="tiny", host=f"https://{host}:{port}/v1", **fields)
        model = build_models(ModelRegistry(default_model="m", models={"m": entry}), context)["m"]
        with self.assertRaises(ModelError) as caught:
            await model.chat(HELLO, Listener())
        return caught.exception

    async def test_certificate_that_is_not_trusted_is_told_and_asked_for_once(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        key, certificate = write_certificate(folder)
        options = DefaultOpenSSLContextFactory(str(key), str(certificate))
        endpoint = SSL4ServerEndpoint(reactor, 0, options, interface="127.0.0.1")
        port = self.listen(await endpoint.listen(Factory.forProtocol(Silent)))
        error = await self.error(port)
        self.assertIs(type(error), ModelError)
        self.assertIn("Model 'm' cannot be reached: its certificate is not trusted", str(error))
        self.assertEqual(Silent.connections, 1)
        # Twisted's own line about it: this certificate names no server.
        self.flushLoggedErrors(CertificateError)

    async def test_server_that_does_not_speak_tls_is_told(self) -> None:
        class Plain(Silent):
            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        error = await self.error(self.listen(await endpoint.listen(Factory.forProtocol(Plain))))
        self.assertIn("its server does not speak TLS; its host would begin with http://", str(error))
        self.assertEqual(Silent.connections, 1)

    async def test_handshake_has_a_limit_that_says_what_it_is(self) -> None:
        door = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(door.close)
        error = await self.error(door.getsockname()[1], connect_timeout=0.2)
        self.assertIs(type(error), ModelUnavailable)
        self.assertIn("its server did not set TLS up within 0.2 seconds (connect_timeout)", str(error))
