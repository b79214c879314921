"""What the tests of this folder start from: a home, a scripted model, and a server between it and the phones."""

from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from .phone import Dialect, Phone, dial
from .program import HOST, Program, ServerHome
from .upstream import Upstream


class AcceptanceCase(TestCase):
    """A test with a home and an upstream; `serve` starts the server."""

    timeout = 60
    # Of every server that a test starts.
    flags: tuple[str, ...] = ()

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.upstream = Upstream()
        await self.upstream.listen()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.upstream.stop()))
        self.home = ServerHome(Path(self.mktemp()))
        self.home.models = {"m": self.upstream.entry()}

    async def serve(self, *flags: str) -> Program:
        """A server on the home, with `home.door` and `home.models` in its files."""
        self.home.write()
        server = await self.home.serve(*self.flags, *flags)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.put_down()))
        return server

    async def dial(self, address: str = HOST) -> Phone:
        phone = await dial(self.home.port, address)
        self.addCleanup(self.end, phone)
        return phone

    async def ask(self, dialect: Dialect, text: str, address: str = HOST, stream: bool = True) -> Phone:
        """A phone that has sent a chat turn."""
        phone = await self.dial(address)
        phone.ask(dialect, text, stream)
        return phone

    async def closed(self, server: Program) -> None:
        """Returns once a server that was told to end takes no more connections."""
        await server.said("may finish")

    @staticmethod
    def end(phone: Phone) -> Deferred[bytes]:
        """Closes a connection, and waits for that."""
        if not phone.is_closed:
            phone.hang_up()
        return phone.closed()
