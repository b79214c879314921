"""The model's side: an HTTP server in OpenAI's format whose every answer is the test's."""

from collections.abc import Callable, Iterator
from typing import Any, cast

from msgspec import json
from twisted.internet import reactor as installed_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IPullProducer, ITCPTransport
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from .program import HOST

reactor: Any = installed_reactor


class Call:
    """One completion that the server asks for; `question` is the last message, of `role`; `history` precedes it.

    `system` is the prompt before them all. `tools` are those that it may call. `dropped` fires if the server hangs up
    before the answer is complete.
    """

    def __init__(self, request: Request) -> None:
        assert request.content is not None
        self.headers = request.requestHeaders
        asked = json.decode(request.content.read())
        messages = asked["messages"]
        self.tools: list[str] = [each["function"]["name"] for each in asked.get("tools", ())]
        self.system: str = messages[0]["content"]
        self.question: str = messages[-1]["content"]
        self.role: str = messages[-1]["role"]
        self.history = [(message["role"], message["content"]) for message in messages[1:-1]]
        self.dropped: Deferred[None] = Deferred()
        self._request = request
        request.notifyFinish().addErrback(lambda _: self.dropped.callback(None))
        request.setHeader(b"content-type", b"text/event-stream")

    def say(self, *pieces: str) -> None:
        """Streams pieces of text, all of them in one write."""
        self.send(frames(pieces))

    def send(self, data: bytes) -> None:
        """Streams any bytes."""
        self._request.write(data)

    def finish(self) -> None:
        """Ends the answer well."""
        self.send(b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
        self._request.finish()

    def answer(self, *pieces: str) -> None:
        """A whole answer."""
        self.say(*pieces)
        self.finish()

    def call_tool(self, name: str, *arguments: str) -> None:
        """An answer that calls one tool, once with each of the arguments."""
        made = [
            {"index": index, "id": f"call_{index + 1}", "function": {"name": name, "arguments": each}}
            for index, each in enumerate(arguments)
        ]
        choice = {"delta": {"tool_calls": made}, "finish_reason": "tool_calls"}
        self.send(b"data: %b\n\ndata: [DONE]\n\n" % json.encode({"choices": [choice]}))
        self._request.finish()

    def refuse(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Answers with something other than a stream."""
        self._request.setResponseCode(status)
        self._request.setHeader(b"content-type", content_type.encode())
        self.send(body)
        self._request.finish()

    def cut(self) -> None:
        """Pulls the cable, after what was sent has left."""
        cast(ITCPTransport, self._request.transport).loseConnection()

    def pour(self, batches: Iterator[bytes]) -> "Pour":
        """Sends an answer as fast as the server takes it, and ends it well."""
        return Pour(self, self._request, batches)


@implementer(IPullProducer)
class Pour:
    """Writes the next batch whenever the socket has taken the one before."""

    def __init__(self, call: Call, request: Request, batches: Iterator[bytes]) -> None:
        self.done = False
        self._sent = 0
        self._call = call
        self._request = request
        self._batches = batches
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self.done = True
            self._request.unregisterProducer()
            self._call.finish()
        else:
            self._sent += len(batch)
            self._request.write(batch)

    def stopProducing(self) -> None:
        """The server hung up."""

    def position(self) -> int:
        """How many bytes have been sent."""
        return self._sent


class Upstream(Resource):
    """Queues its calls for the test, unless `script` answers them."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.script: Callable[[Call], None] | None = None
        self._calls: DeferredQueue[Call] = DeferredQueue()
        self._port: IListeningPort

    async def listen(self) -> None:
        site = Site(self, parsePOSTFormSubmission=False)
        site.noisy = False
        self._port = await TCP4ServerEndpoint(reactor, 0, interface=HOST).listen(site)

    async def stop(self) -> None:
        await maybeDeferred(self._port.stopListening)

    def entry(self, **fields: Any) -> dict[str, Any]:
        """Its entry in `llm-models.json`."""
        host = f"http://{HOST}:{cast(IPv4Address, self._port.getHost()).port}/v1"
        return {"type": "OPENAI", "model_id": "scripted", "host": host, **fields}

    def call(self) -> Deferred[Call]:
        """The next call."""
        return self._calls.get()

    def render_POST(self, request: Request) -> int:
        call = Call(request)
        if self.script is None:
            self._calls.put(call)
        else:
            self.script(call)
        return NOT_DONE_YET


def frames(pieces: tuple[str, ...]) -> bytes:
    """Text as the events of a stream."""
    return b"".join(
        b'data: {"choices":[{"delta":{"content":%b}}]}\n\n' % json.encode(piece) for piece in pieces
    )
