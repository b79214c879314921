"""Behind a real nginx with its default buffering, as people put it in front of their servers."""

import shutil
import tempfile
from pathlib import Path

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from tests.web.sockets import Peer, SocketCase, post, reactor
from tests.web.test_routes import OLLAMA, OPENAI, ask

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
# Everything that has to do with proxying is left at its default.
CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen unix:{folder}/front; location / {{ proxy_pass http://127.0.0.1:{port}; }} }}
}}
"""


class Nginx(ProcessProtocol):
    """The running proxy; `ended` fires when it is gone."""

    def __init__(self) -> None:
        self.ended: Deferred[None] = Deferred()

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)

    def stop(self) -> Deferred[None]:
        assert self.transport is not None
        self.transport.signalProcess("TERM")
        return self.ended


class NginxTests(SocketCase):
    if NGINX is None:
        skip = "nginx is not installed; with Debian: apt-get install nginx-light"

    async def client(self) -> Peer:
        """A client of an nginx in front of the server."""
        assert NGINX is not None
        port = await self.listen()
        # The path of a Unix socket has to be short.
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        config = folder / "conf"
        config.write_text(CONFIG.format(folder=folder, port=port))
        nginx = Nginx()
        reactor.spawnProcess(nginx, NGINX, [NGINX, "-e", str(folder / "log"), "-c", str(config)])
        self.addCleanup(nginx.stop)
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
