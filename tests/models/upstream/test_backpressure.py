"""Against a real socket, because what it does when nobody reads is the point."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.seams.interfaces import IModel
from llamaproxy.seams.types import ModelDelta

from ..fakes import DONE, HELLO, Listener, event, finish

reactor: Any = installed_reactor

# 40 MB: more than the kernel's buffers on both sides take in. A frame of 11.5 KB is more than a window that was made
# too small leaves room for at once.
FRAMES, FRAME_SIZE = 3_500, 11_500
# Seconds for 40 MB. A sender that waits for its timer before each piece would take minutes.
PATIENCE = 60


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@implementer(IPushProducer)
class Fountain(Protocol):
    """A server that answers with numbered frames as fast as they are taken."""

    def __init__(self) -> None:
        self.sent = 0
        self.gone: Deferred[None] = Deferred()
        self._flowing = False

    @property
    def socket(self) -> Connection:
        return cast(Connection, self.transport)

    def dataReceived(self, data: bytes) -> None:
        self.socket.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.socket.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._flowing = True
        while self._flowing and self.sent < FRAMES:
            self.socket.write(chunk(event(f"{self.sent:0{FRAME_SIZE}}")))
            self.sent += 1
        if self._flowing:
            self._flowing = False
            self.socket.unregisterProducer()
            self.socket.write(chunk(finish() + DONE) + b"0\r\n\r\n")

    def pauseProducing(self) -> None:
        self._flowing = False

    def stopProducing(self) -> None:
        self._flowing = False

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone.callback(None)

    async def stuck(self) -> None:
        """Returns once nothing was taken for a while."""
        before = -1
        while before != self.sent:
            before = self.sent
            await deferLater(reactor, 0.1)


class Reader(Listener):
    """Checks that every frame comes in its turn, and holds the stream at the tenth."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self.held: Deferred[None] = Deferred()

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        for delta in deltas:
            assert getattr(delta, "text", None) == f"{self.frames:0{FRAME_SIZE}}"
            self.frames += 1
        if self.frames >= 10 and not self.held.called:
            self.hold()
            self.held.callback(None)


class BackpressureTests(TestCase):
    timeout = PATIENCE

    async def upstream(self) -> tuple[IModel, Fountain]:
        fountain = Fountain()
        factory: Factory = Factory.forProtocol(lambda: fountain)
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: fountain.socket.abortConnection() if not fountain.gone.called else None)
        entry = ModelEntry(type="OPENAI", model_id="tiny", host=f"http://127.0.0.1:{port.getHost().port}/v1")
        context = model_context(reactor, lambda name: None, Home(Path("/nowhere")))
        self.addCleanup(context.close)
        return build_models(ModelRegistry(default_model="m", models={"m": entry}), context)["m"], fountain

    async def test_reader_that_stalls_stops_the_server_and_misses_nothing(self) -> None:
        model, fountain = await self.upstream()
        reader = Reader()
        done = model.chat(HELLO, reader)
        await reader.held
        await fountain.stuck()
        # What had been read from the socket already: one read is at most 64 KiB.
        self.assertLess(reader.frames, 10 + 65536 // FRAME_SIZE + 1)
        # What the kernel keeps on both sides: here little, there by its own measure.
        self.assertLess(fountain.sent, FRAMES)
        reader.release()
        await done
        self.assertEqual(reader.frames, FRAMES)

    async def test_cancelling_hangs_up_on_a_server_that_is_held(self) -> None:
        model, fountain = await self.upstream()
        reader = Reader()
        done = model.chat(HELLO, reader)
        await reader.held
        await fountain.stuck()
        began = reactor.seconds()
        done.cancel()
        with self.assertRaises(CancelledError):
            await done
        await fountain.gone
        self.assertLess(reactor.seconds() - began, 0.1)
