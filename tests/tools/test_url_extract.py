"""`url_extract` against a real web server, and against names and addresses that it must not follow."""

import gzip
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from llamaproxy.config.tools import UrlExtract
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.interfaces import ITool
from llamaproxy.tools import addresses, url_extract
from llamaproxy.tools.addresses import is_public
from llamaproxy.tools.threads import Workers
from llamaproxy.tools.url_extract import UrlExtractTool

from .support import call

ARTICLE = (
    b"<html><head><title>T</title></head><body><nav>Menu Home</nav><article><h1>Llamas</h1>"
    b"<p>Llamas are quiet animals that live in the mountains of South America.</p>"
    b"<p>They carry loads of up to thirty kilograms over long distances.</p></article></body></html>"
)


class Pages(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[bytes, Callable[[Request], Any]] = {}
        self.asked: list[bytes] = []
        self.left: Deferred[None] = Deferred()

    def render_GET(self, request: Request) -> Any:
        self.asked.append(request.path)
        request.notifyFinish().addErrback(lambda _: self.left.callback(None))
        return self.answers[request.path](request)


def page(body: bytes, kind: bytes = b"text/html", **headers: bytes) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        request.setHeader(b"content-type", kind)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-").encode(), value)
        return body

    return answer


def redirect(to: str) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        request.redirect(to.encode())
        return b""

    return answer


def hang(request: Request) -> int:
    request.write(b"<p>begun")
    return NOT_DONE_YET


def flood(request: Request) -> int:
    def more() -> None:
        request.write(b"x" * 65536)

    class Endless:
        resumeProducing = staticmethod(more)
        pauseProducing = stopProducing = staticmethod(lambda: None)

    request.setHeader(b"content-type", b"text/plain")
    request.registerProducer(Endless(), False)
    return NOT_DONE_YET


class ExtractTests(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.pages = Pages()
        any_reactor: Any = reactor
        port = any_reactor.listenTCP(0, Site(self.pages), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.base = f"http://127.0.0.1:{port.getHost().port}"

    async def get(self, path: str, answer: Any = None, query: str = "", **settings: Any) -> str:
        if answer is not None:
            self.pages.answers[path.encode()] = answer
        settings = {"allow_private": True, **settings}
        tool = UrlExtractTool(UrlExtract(**settings), Workers(reactor))
        verifyObject(ITool, tool)
        url = path if "://" in path else self.base + path
        return await call(tool, reactor, url=url, query=query)

    async def refused(self, path: str, answer: Any = None, **settings: Any) -> str:
        try:
            text = await self.get(path, answer, **settings)
        except ToolError as error:
            return str(error)
        raise AssertionError(f"{path} gave {text[:200]}")

    async def test_the_article_without_the_menu(self) -> None:
        text = await self.get("/", page(ARTICLE))
        self.assertIn("quiet animals", text)
        self.assertNotIn("Menu", text)

    async def test_a_query_leaves_the_paragraphs_about_it(self) -> None:
        text = await self.get("/", page(ARTICLE), query="kilograms")
        self.assertIn("thirty kilograms", text)
        self.assertNotIn("quiet", text)

    async def test_json_and_text_come_as_they_are(self) -> None:
        self.assertEqual(await self.get("/j", page(b'{"a": 1}', b"application/json")), '{"a": 1}')
        self.assertEqual(
            await self.get("/t", page("größe".encode("latin-1"), b"text/plain; charset=ISO-8859-1")), "größe"
        )

    async def test_pages_in_odd_charsets_are_read(self) -> None:
        words = "Привет мир, как дела"
        for number, (charset, kind, head) in enumerate(
            (
                ("cp1251", "text/html; charset=windows-1251", ""),
                ("cp1251", "text/html", '<meta charset="windows-1251">'),
                ("cp1251", "text/html; charset=nonsense", "<meta content='text/html; charset=cp1251'>"),
                ("utf-16", "text/html", ""),
                ("utf-8", "text/html; charset=idna", ""),
                ("gb18030", "text/plain; charset=gb2312", ""),
                ("cp1251", "text/xml", '<?xml version="1.0" encoding="windows-1251"?>'),
            )
        ):
            body = f"<html><head>{head}</head><body><p>{words}</p></body></html>".encode(charset)
            self.assertIn(words, await self.get(f"/c{number}", page(body, kind.encode())), kind)

    async def test_a_page_that_its_reader_chokes_on_is_told(self) -> None:
        with mock.patch("trafilatura.extract", side_effect=ValueError("no tree")):
            self.assertIn("too odd to be read (no tree)", await self.refused("/odd", page(ARTICLE)))

    def test_article_of_a_page_with_endless_tags_is_not_looked_for(self) -> None:
        article = f"<html><nav>Menu</nav><article><p>{'Some words of an article. ' * 30}</p></article></html>"
        self.assertNotIn("Menu", url_extract._text_of_html(article, "http://h/"))
        endless = article + "<b>x</b>" * url_extract.MOST_TAGS
        for body in (endless, endless.encode()):
            with mock.patch("trafilatura.extract", side_effect=AssertionError):
                text = url_extract._text_of_html(body, "http://h/")
            self.assertIn("Some words of an article.", text)

    async def test_a_packing_that_was_not_asked_for_is_told(self) -> None:
        self.assertIn("packed with br", await self.refused("/br", page(b"x", content_encoding=b"br")))

    async def test_headers_may_hold_anything(self) -> None:
        def answer(request: Request) -> bytes:
            request.setResponseCode(302)
            request.responseHeaders.setRawHeaders(b"location", [b"http://[\xff"])
            return b""

        self.assertIn("no web address", await self.refused("/away", answer))
        self.assertIn("of which there is no text", await self.refused("/kind", page(b"x", b"\xff/\xfe")))

    async def test_pictures_are_refused(self) -> None:
        self.assertIn("image/png", await self.refused("/p", page(b"x", b"image/png")))

    async def test_a_redirect_is_followed_and_told(self) -> None:
        self.pages.answers[b"/to"] = page(b"here", b"text/plain")
        self.assertEqual(await self.get("/from", redirect("/to")), f"here\n[from {self.base}/to]")

    async def test_a_circle_of_redirects_ends(self) -> None:
        self.assertIn("more than 5 times", await self.refused("/round", redirect("/round")))

    async def test_an_error_of_the_server_is_told(self) -> None:
        def gone(request: Request) -> bytes:
            request.setResponseCode(410)
            return b""

        self.assertIn("answers 410 Gone", await self.refused("/gone", gone))

    async def test_a_page_without_end_is_cut(self) -> None:
        text = await self.get("/flood", flood, max_bytes=100_000, max_characters=50)
        self.assertTrue(text.startswith("x" * 50 + "\n[only the beginning"))
        await self.pages.left

    async def test_a_small_page_that_unpacks_to_a_large_one_is_cut(self) -> None:
        bomb = gzip.compress(b"x" * 50_000_000)
        text = await self.get("/bomb", page(bomb, b"text/plain", content_encoding=b"gzip"), max_bytes=100_000)
        self.assertLess(len(text), 30_000)
        self.assertIn("[only the beginning", text)

    async def test_cancelling_hangs_up(self) -> None:
        running = Deferred.fromCoroutine(self.get("/hang", hang))
        while not self.pages.asked:
            await deferLater(reactor, 0.01)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await self.pages.left

    async def test_a_server_that_is_not_there_is_told(self) -> None:
        self.assertIn("cannot be reached", await self.refused("http://127.0.0.1:1/"))

    async def test_only_web_addresses(self) -> None:
        for url in (
            "file:///etc/passwd",
            "ftp://example.org/",
            "http://",
            "http://h:port/",
            "http://a b/",
            "//x",
        ):
            self.assertIn("no web address", await self.refused(url if "://" in url else f"{url}://"))

    async def test_no_private_address_by_number(self) -> None:
        port = self.base.rpartition(":")[2]
        for host in (
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "2130706433",
            "0x7f.1",
            "localhost",
        ):
            problem = await self.refused(f"http://{host}:{port}/", allow_private=False)
            self.assertIn("private network", problem, host)
        self.assertEqual(self.pages.asked, [])

    async def test_no_private_address_by_redirect(self) -> None:
        self.patch(addresses, "is_public", lambda address: address == "127.0.0.1")
        port = self.base.rpartition(":")[2]
        problem = await self.refused("/from", redirect(f"http://127.0.0.2:{port}/to"), allow_private=False)
        self.assertIn("127.0.0.2", problem)
        self.assertIn("private network", problem)
        self.assertEqual(self.pages.asked, [b"/from"])

    async def test_no_private_address_by_a_name_that_changes_its_mind(self) -> None:
        names = Names({"rebind.example": "93.184.216.34"})
        names.then["rebind.example"] = "127.0.0.1"
        self.addCleanup(reactor.installNameResolver, reactor.installNameResolver(names))  # type: ignore[attr-defined]
        connected: list[str] = []

        def connect(host: str, *args: Any, **kwargs: Any) -> None:
            connected.append(host)
            raise OSError("no network in this test")

        self.patch(reactor, "connectTCP", connect)
        await self.refused("http://rebind.example/", allow_private=False)
        # Asked once, and connected to what was checked.
        self.assertEqual((names.asked, connected), (["rebind.example"], ["93.184.216.34"]))


@implementer(IHostnameResolver)
class Names:
    """A name server of the test's own; `then` has what a name becomes after the first question."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self.then: dict[str, str] = {}
        self.asked: list[str] = []

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, portNumber: int = 0, *args: Any, **kwargs: Any
    ) -> Any:
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(self)
        resolutionReceiver.addressResolved(IPv4Address("TCP", self._names[hostName], portNumber))
        self._names.update(self.then)
        resolutionReceiver.resolutionComplete()
        return self

    def cancel(self) -> None:
        pass


class PublicTests(SynchronousTestCase):
    def test_addresses_of_the_own_machine_and_network_are_not_public(self) -> None:
        for address in (
            "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
            "224.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1", "::1", "::", "fe80::1%eth0", "fd00::1",
            "ff02::1", "::ffff:10.0.0.1", "::10.0.0.1", "2002:0a00:0001::1", "64:ff9b::7f00:1", "64:ff9b:1::1",
            "fec0::1", "::ffff:0:7f00:1",
        ):  # fmt: skip
            self.assertFalse(is_public(address), address)

    def test_addresses_of_the_internet_are(self) -> None:
        for address in ("93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"):
            self.assertTrue(is_public(address), address)
