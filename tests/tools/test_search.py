"""The search tools: what they ask, what a model gets, and what goes wrong."""

from typing import IO, Any, cast
from unittest import mock

from ddgs.exceptions import DDGSException, TimeoutException
from msgspec import json
from treq.client import HTTPClient
from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request
from zope.interface.verify import verifyObject

from llamaproxy.config.tools import Search
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.interfaces import ITool
from llamaproxy.tools.search_ddgs import DdgsTool
from llamaproxy.tools.search_tavily import TavilyTool
from llamaproxy.tools.threads import Workers

from .support import call


class DdgsTests(TestCase):
    timeout = 20

    async def search(self, **answer: Any) -> str:
        tool = DdgsTool(Search(max_results=2), Workers(reactor))
        verifyObject(ITool, tool)
        with mock.patch("ddgs.DDGS") as client:
            client.return_value.text = mock.Mock(**answer)
            text = await call(tool, reactor, query="llamas")
        client.return_value.text.assert_called_once_with("llamas", max_results=2)
        return text

    async def test_results_are_numbered_and_no_more_than_asked_for(self) -> None:
        results = [{"title": f"T{n}", "href": f"http://{n}", "body": "a\n  b"} for n in range(3)]
        self.assertEqual(
            await self.search(return_value=results), "1. T0\nhttp://0\na b\n\n2. T1\nhttp://1\na b"
        )

    async def test_no_results_are_no_error(self) -> None:
        self.assertEqual(await self.search(side_effect=DDGSException("No results found.")), "(no results)")

    async def test_an_engine_that_fails_is_told(self) -> None:
        with self.assertRaisesRegex(ToolError, "the search failed: slow"):
            await self.search(side_effect=TimeoutException("slow"))
        with self.assertRaisesRegex(ToolError, "the search failed: KeyError"):
            await self.search(side_effect=KeyError())


class Tavily(Resource):
    isLeaf = True

    def __init__(self, code: int, body: bytes) -> None:
        super().__init__()
        self._code, self._body = code, body

    def render_POST(self, request: Request) -> bytes:
        self.asked = json.decode(cast(IO[bytes], request.content).read())
        self.key = request.getHeader("authorization")
        request.setResponseCode(self._code)
        return self._body


class TavilyTests(SynchronousTestCase):
    def search(self, code: int, body: bytes) -> Any:
        self.server = Tavily(code, body)
        tool = TavilyTool(Search(max_results=3), "k3y", cast(HTTPClient, StubTreq(self.server)))
        verifyObject(ITool, tool)
        return call(tool, Clock(), query="llamas")

    def test_it_asks_with_the_key_and_shows_the_results(self) -> None:
        body = json.encode({"results": [{"title": "T", "url": "http://t", "content": "c", "score": 1}]})
        self.assertEqual(self.successResultOf(self.search(200, body)), "1. T\nhttp://t\nc")
        self.assertEqual(self.server.asked, {"query": "llamas", "max_results": 3})
        self.assertEqual(self.server.key, "Bearer k3y")

    def test_what_goes_wrong_is_told_without_the_key(self) -> None:
        for code, body, words in (
            (401, b"", "TAVILY_API_KEY"),
            (500, b"oops", "500: oops"),
            (200, b"<", "read"),
        ):
            problem = str(self.failureResultOf(self.search(code, body), ToolError).value)
            self.assertIn(words, problem)
            self.assertNotIn("k3y", problem)
