"""What the vendors have in common: a way to be asked, the lines of their models, and checks that several make."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers

Body = dict[str, Any]
# A call as a vendor's model makes it: its id, the tool's name, the arguments.
Said = tuple[str, str, str]

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TOOL = "clock"


class Refused(Exception):
    """The request is refused."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Canned:
    """A response whose body is all there."""

    def __init__(self, code: int, body: bytes, kind: str) -> None:
        self.code = code
        self.headers = Headers({"content-type": [kind]})
        self._body = body

    def deliverBody(self, protocol: Any) -> None:
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


class Vendor:
    """One server with one model, which answers a question with calls first, and with "answer N" after their results.

    What it calls changes from turn to turn: one, two at a time, one that is cut off, one of a tool that it makes up.
    """

    name = "vendor"
    kind = "OPENAI"
    model_id = "model"
    stream = "text/event-stream"
    made_up = "functions.clock"

    def __init__(self) -> None:
        self.host = f"http://{self.name}.test/v1"
        self.requests: list[Body] = []
        self.refusals: list[Refused] = []

    # -- the server

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Deferred[Any]:
        """See `Http`."""
        asked = json.decode(body)
        self.requests.append(asked)
        try:
            self.check(asked)
        except Refused as refused:
            self.refusals.append(refused)
            return succeed(Canned(refused.status, json.encode(refused.body), "application/json"))
        return succeed(Canned(200, self.answer(asked), self.stream))

    def close(self) -> Deferred[None]:
        """See `Http`."""
        return succeed(None)

    def check(self, body: Body) -> None:
        """Raises `Refused`."""

    def refuse(self, message: str, status: int = 400, **more: Any) -> None:
        """Refuses in OpenAI's form."""
        raise Refused(status, {"error": {"message": message, "type": "invalid_request_error", **more}})

    # -- the model

    def answer(self, body: Body) -> bytes:
        """The stream of an answer."""
        turn = sum(message["role"] == "user" for message in body["messages"])
        if body["messages"][-1]["role"] == "tool" or not body.get("tools"):
            return self.speak(f"answer {turn}")
        match turn % 4:
            case 0:
                return self.call([(self.new_id(turn), TOOL, '{"zone": "Rome"}')], "tool_calls")
            case 1:
                two = [(self.new_id(turn, at), TOOL, f'{{"zone": "{zone}"}}') for at, zone in enumerate("AB")]
                return self.call(two, "tool_calls")
            case 2:
                return self.call([(self.new_id(turn), TOOL, '{"zone": "Ro')], "length")
        return self.call([(self.new_id(turn), self.made_up, "{}")], "tool_calls")

    def new_id(self, turn: int, at: int = 0) -> str:
        """An id as this vendor makes it."""
        return f"call_{at}"

    def speak(self, text: str) -> bytes:
        """A stream with a text."""
        return sse({"content": text[:4]}, {"content": text[4:]}, finish="stop")

    def call(self, calls: Sequence[Said], finish: str) -> bytes:
        """A stream with calls."""
        return sse({"tool_calls": self.pieces(calls)}, finish=finish)

    def pieces(self, calls: Sequence[Said]) -> list[Body]:
        """The calls as pieces of a stream."""
        return [
            {"index": at, "id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
            for at, (call_id, name, text) in enumerate(calls)
        ]


def sse(*deltas: Body, finish: str) -> bytes:
    """Chunks of a chat completion."""
    choices: list[Body] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    return (
        b"".join(b"data: " + json.encode({"choices": [each]}) + b"\n\n" for each in choices)
        + b"data: [DONE]\n\n"
    )


def calls_of(body: Body) -> list[Body]:
    """All calls in the history."""
    return [call for message in body["messages"] for call in message.get("tool_calls") or ()]


def functions_of(body: Body) -> list[Body]:
    """The definitions of the tools."""
    return [tool["function"] for tool in body.get("tools", ())]


def is_paired(messages: Sequence[Body]) -> bool:
    """Whether each round of calls is followed by its results, one for each, and no result stands elsewhere."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return False
            waiting.remove(message["tool_call_id"])
        elif waiting:
            return False
        waiting += [call["id"] for call in message.get("tool_calls") or ()]
    return not waiting


def is_object(text: Any) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(text, str) and isinstance(json.decode(text), dict)
    except ValueError:
        return False


def incomplete(schema: Any) -> str:
    """What OpenAI says of a schema that lacks something, "" if it does not."""
    if not isinstance(schema, dict):
        return ""
    if schema.get("type") == "object" and "properties" not in schema:
        return "object schema missing properties"
    if schema.get("type") == "array" and not isinstance(schema.get("items"), dict):
        return "array schema missing items"
    inner = [*schema.get("properties", {}).values(), schema.get("items")]
    return next(filter(None, map(incomplete, inner)), "")
