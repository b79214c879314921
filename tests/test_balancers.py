"""The balancers of `docs/many-machines.md`, with the text of the page: who comes again stays at its node."""

import re
from pathlib import Path
from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet import reactor as installed_reactor
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.machine import POLL, free_port, until
from tests.proxies import folder_of, start_haproxy, start_nginx

reactor: Any = installed_reactor
PAGE = Path(__file__).parents[1] / "docs" / "many-machines.md"


class Node(Resource):
    """Tells its name; at `/stream` it begins to, and ends when the test says so."""

    isLeaf = True

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.ready = True
        self.looks = 0
        self.streams: list[Request] = []

    def render(self, request: Request) -> Any:
        if request.path == b"/readyz":
            self.looks += 1
            request.setResponseCode(200 if self.ready else 503)
            return b""
        if not self.ready:
            # As a node does that is going.
            request.setResponseCode(503)
            return b""
        if request.path == b"/stream":
            request.write(self.name.encode())
            self.streams.append(request)
            return NOT_DONE_YET
        return self.name.encode()


class BalancerCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.nodes = {name: Node(name) for name in ("11", "12", "13")}
        self.ports = {}
        for name, node in self.nodes.items():
            listening = reactor.listenTCP(0, Site(node), interface="127.0.0.1")
            self.addCleanup(listening.stopListening)
            self.ports[name] = listening.getHost().port
        self.port = free_port("127.0.0.1")
        self.folder = folder_of(self)

    def sample(self, language: str) -> str:
        """The page's text, with the nodes and the port of this test."""
        found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        assert found is not None
        text = re.sub(r"10\.0\.0\.(1\d):11434", lambda node: f"127.0.0.1:{self.ports[node[1]]}", found[1])
        return re.sub(r"(listen|bind) :?80\b", rf"\1 127.0.0.1:{self.port}", text)

    def client(self, address: str = "127.0.0.1") -> HTTPClient:
        pool = HTTPConnectionPool(reactor, persistent=False)
        return HTTPClient(Agent(reactor, bindAddress=(address, 0), pool=pool))

    async def ask(self, address: str = "127.0.0.1", chat: str = "") -> str:
        """The node that answers; "" where none does."""
        headers = Headers({"X-Llamaproxy-Chat": [chat]} if chat else {})
        try:
            answer = await self.client(address).get(f"http://127.0.0.1:{self.port}/", headers=headers)
        except ConnectError:
            return ""
        text = await answer.text()
        return str(text) if answer.code == 200 else ""

    async def balancing(self) -> None:
        while not await self.ask():
            await deferLater(reactor, POLL)


class NginxTests(BalancerCase):
    async def test_each_address_stays_at_one_node_and_leaves_one_that_is_going(self) -> None:
        start_nginx(self, self.folder, self.sample("nginx"))
        await self.balancing()
        addresses = [f"127.0.0.{number}" for number in range(2, 32)]
        first = [await self.ask(address) for address in addresses]
        self.assertEqual([await self.ask(address) for address in addresses], first)
        self.assertEqual(set(first), set(self.nodes))
        self.nodes["12"].ready = False
        for address, node in zip(addresses, first, strict=True):
            again = await self.ask(address)
            self.assertEqual(again == node, node != "12")
            self.assertIn(again, {"11", "13"})


class HaproxyTests(BalancerCase):
    async def test_each_chat_stays_at_one_node_and_a_stream_outlives_that_this_is_going(self) -> None:
        start_haproxy(self, self.folder, self.sample("haproxy"))
        await self.balancing()
        chats = [f"chat {number}" for number in range(30)]
        first = [await self.ask(chat=chat) for chat in chats]
        self.assertEqual([await self.ask(chat=chat) for chat in chats], first)
        self.assertEqual(set(first), set(self.nodes))
        going = self.nodes[first[0]]
        headers = Headers({"X-Llamaproxy-Chat": [chats[0]]})
        url = f"http://127.0.0.1:{self.port}/stream"
        heard = await self.client().get(url, headers=headers)
        going.ready = False
        self.assertIn(await self.ask(chat=chats[0]), set(self.nodes) - {going.name})
        # Two looks of the balancer's are what it takes to be known as down.
        known = going.looks + 3
        await until(lambda: going.looks >= known)
        going.streams[0].write(b" to the end")
        going.streams[0].finish()
        self.assertEqual(await treq.text_content(heard), f"{going.name} to the end")
