"""Behind a real nginx with its default buffering, as people put it in front of their servers."""

from msgspec import json
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater

from tests.proxies import folder_of, start_nginx
from tests.web.sockets import Peer, SocketCase, post, reactor
from tests.web.test_routes import OLLAMA, OPENAI, ask

SERVER = "server {{ listen unix:{folder}/front; location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"


class NginxTests(SocketCase):
    async def client(self) -> Peer:
        """A client of an nginx in front of the server."""
        port, folder = await self.listen(), folder_of(self)
        start_nginx(self, folder, SERVER.format(folder=folder, port=port))
        while True:
            try:
                return await self.connect(UNIXClientEndpoint(reactor, str(folder / "front")))
            except ConnectError:
                await deferLater(reactor, 0.02)

    async def test_each_token_passes_before_the_next_is_there(self) -> None:
        peer = await self.client()
        for path in (OLLAMA, OPENAI):
            peer.transport.write(post(path, json.encode(ask(stream=True))))
            call = await self.next_call()
            for token in ("one", "two"):
                call.say(f"{path} {token}")
                await peer.hear(f"{path} {token}".encode())
            call.finish()
            await peer.hear(b"0\r\n\r\n")
            peer.heard = b""

    async def test_sign_of_life_passes(self) -> None:
        peer = await self.client()
        peer.transport.write(post(OPENAI, json.encode(ask(stream=True))))
        await self.next_call()
        self.house.clock.advance(8)
        await peer.hear(b": keep-alive")

    async def test_client_that_leaves_the_proxy_stops_the_model(self) -> None:
        peer = await self.client()
        peer.transport.write(post(OLLAMA, json.encode(ask())))
        call = await self.next_call()
        call.say("Hi")
        await peer.hear(b"Hi")
        peer.transport.loseConnection()
        await self.until(lambda: call.cancelled)

    async def test_error_keeps_its_status_and_dialect(self) -> None:
        peer = await self.client()
        peer.transport.write(post(OLLAMA, b"{"))
        await peer.hear(b'{"error":')
        self.assertEqual(peer.response().code, 400)
