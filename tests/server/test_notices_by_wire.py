"""Notifications over real sockets: what a receiver gets, and what one that misbehaves brings about."""

from typing import Any

import treq
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from llamaproxy.server.notifier import PAUSES, Notifier

reactor: Any = installed_reactor
LINK = "https://agent.example.org/chat"


class WatchedClock(Clock):
    """Tells when somebody begins to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: DeferredQueue[None] = DeferredQueue()

    def callLater(self, *arguments: Any, **named: Any) -> IDelayedCall:
        call = super().callLater(*arguments, **named)
        self.waits.put(None)
        return call


class Receiver(Resource):
    """A topic or webhook: `posts` are the requests, `answers` the statuses that it gives, 200 once there are none."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.posts: DeferredQueue[Request] = DeferredQueue()
        self.count = 0
        self.bodies: list[bytes] = []
        self.answers: list[int] = []
        self.elsewhere = b""
        self.endless = False
        self.left: Deferred[None] = Deferred()
        self.site = Site(self)
        self.site.noisy = False
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port.getHost().port}/topic?token=t0k"

    def render(self, request: Request) -> Any:
        assert request.content is not None
        self.count += 1
        self.bodies.append(request.content.read())
        request.setResponseCode(self.answers.pop(0) if self.answers else 200)
        if self.elsewhere:
            request.setHeader(b"location", self.elsewhere)
        self.posts.put(request)
        if not self.endless:
            return b"thank you"
        request.notifyFinish().addErrback(lambda _: self.left.callback(None))
        request.write(b"x" * 1_000_000)
        return NOT_DONE_YET


class NoticeTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.receiver, self.other = Receiver(), Receiver()
        for each in (self.receiver, self.other):
            self.addCleanup(each.port.stopListening)
        self.clock = WatchedClock()
        self.notifier = Notifier(treq.post, ["127.0.0.1"], LINK, self.clock)
        self.addCleanup(self.notifier.stop)
        self.addCleanup(self.hang_up)

    async def hang_up(self) -> None:
        await treq.api.get_global_pool().closeCachedConnections()

    async def test_one_post_with_the_words_and_the_link_and_nothing_else(self) -> None:
        self.notifier.notify(self.receiver.url, "count the stars", False)
        request = await self.receiver.posts.get()
        self.assertEqual((request.method, request.uri), (b"POST", b"/topic?token=t0k"))
        self.assertEqual(self.receiver.bodies, [b'"count the stars" was answered.'])
        headers = {name.lower() for name, _ in request.requestHeaders.getAllRawHeaders()}
        usual = {
            b"host",
            b"user-agent",
            b"accept-encoding",
            b"connection",
            b"content-length",
            b"content-type",
        }
        self.assertEqual(headers - usual, {b"title", b"click"})
        self.assertEqual(request.getHeader("click"), LINK)

    async def test_it_is_tried_again_until_it_is_taken(self) -> None:
        self.receiver.answers = [503, 429]
        self.notifier.notify(self.receiver.url, "hello", False)
        await self.receiver.posts.get()
        for pause in PAUSES[:2]:
            await self.clock.waits.get()
            self.clock.advance(pause)
            await self.receiver.posts.get()
        self.assertEqual(set(self.receiver.bodies), {b'"hello" was answered.'})
        self.assertEqual((self.receiver.count, self.clock.getDelayedCalls()), (3, []))

    async def test_it_is_tried_again_where_nobody_listens_yet(self) -> None:
        port = self.receiver.port.getHost().port
        await self.receiver.port.stopListening()
        self.notifier.notify(self.receiver.url, "hello", False)
        await self.clock.waits.get()
        self.receiver.port = reactor.listenTCP(port, self.receiver.site, interface="127.0.0.1")
        self.clock.advance(PAUSES[0])
        await self.receiver.posts.get()
        await self.receiver.port.stopListening()

    async def test_nobody_follows_it_elsewhere(self) -> None:
        for status in (301, 302, 307, 308):
            self.receiver.answers, self.receiver.elsewhere = [status], self.other.url.encode()
            self.notifier.notify(self.receiver.url, "hello", False)
            await self.receiver.posts.get()
        self.notifier.notify(self.other.url, "to know that the others would be here by now", False)
        await self.other.posts.get()
        self.assertEqual((self.receiver.count, self.other.count, self.clock.getDelayedCalls()), (4, 1, []))

    async def test_host_that_nobody_named_is_not_asked(self) -> None:
        self.notifier.notify(self.other.url.replace("127.0.0.1", "localhost"), "hello", False)
        self.notifier.notify(self.other.url.replace("http://", "http://127.0.0.1@localhost#"), "hello", False)
        self.notifier.notify(self.receiver.url, "hello", False)
        await self.receiver.posts.get()
        self.assertEqual(self.other.count, 0)

    async def test_answer_without_an_end_holds_nothing(self) -> None:
        self.receiver.endless = True
        self.notifier.notify(self.receiver.url, "hello", False)
        await self.receiver.left
