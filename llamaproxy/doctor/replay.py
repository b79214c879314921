"""A call that a client makes, what it gets for an answer, and how it takes it."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from msgspec import json

from .decoders import Fault

_SNIPPET = 80


class Answer(NamedTuple):
    """What came back, as a whole; `type` is the value of Content-Type."""

    status: int
    type: str
    body: bytes


class Call(NamedTuple):
    """One request; `read` raises Fault for an answer that the client fails over. No body is sent for None."""

    method: str
    path: str
    read: Callable[[Answer], object]
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Client(NamedTuple):
    """What an app does from "add server" to a finished reply: `calls` in their order, each with `headers`.

    `key` names it on the command line. `sends_key` says whether it can send an API key at all.
    """

    key: str
    name: str
    headers: dict[str, str]
    calls: tuple[Call, ...]
    sends_key: bool = True


# Sends a method, path, headers and body; raises Fault if no whole answer comes back.
Ask = Callable[[str, str, dict[str, str], bytes | None], Answer]


class Complaint(NamedTuple):
    """The first thing that a client fails over."""

    call: Call
    fault: Fault

    def __str__(self) -> str:
        return f"{self.call}: {self.fault}"


def examine(client: Client, ask: Ask, api_key: str = "") -> Complaint | None:
    """Plays the client's part, up to the first answer that it would fail over."""
    headers = client.headers
    if api_key and client.sends_key:
        headers = {**headers, "Authorization": f"Bearer {api_key}"}
    for call in client.calls:
        body = None if call.body is None else json.encode(call.body)
        try:
            call.read(ask(call.method, call.path, headers, body))
        except Fault as fault:
            return Complaint(call, fault)
    return None


class _Decoders(Protocol):
    """What the modules of the two dialects have in common."""

    def check(self, client: str, endpoint: str, body: bytes) -> Any: ...
    def check_stream(self, client: str, endpoint: str, body: bytes) -> list[Any]: ...


class Reader:
    """Makes the calls of one client to endpoints under `prefix`, to be read by its own table in `decoders`.

    `by_type`: the client takes JSON only from an answer that says it is JSON.
    """

    def __init__(self, decoders: _Decoders, client: str, prefix: str, by_type: bool = False) -> None:
        self._decoders, self._client, self._prefix, self._by_type = decoders, client, prefix, by_type

    def get(self, endpoint: str) -> Call:
        """A list, or what else is there to be looked at."""
        return self._call("GET", endpoint, self._whole(endpoint))

    def post(self, endpoint: str, body: Any, path: str = "") -> Call:
        """A question with one answer; `path` where it is not the endpoint's name."""
        return self._call("POST", path or endpoint, self._whole(endpoint), body)

    def stream(self, endpoint: str, body: Any, path: str = "") -> Call:
        """A question whose answer comes in pieces."""
        read = partial(self._decoders.check_stream, self._client, endpoint)
        return self._call("POST", path or endpoint, lambda answer: read(_expect(answer, 200)), body)

    def refused(self, endpoint: str, body: Any, status: int) -> Call:
        """A question that must fail in the client's own form."""
        read = partial(self._decoders.check, self._client, "error")
        return self._call("POST", endpoint, lambda answer: read(_expect(answer, status)), body)

    def _call(self, method: str, path: str, read: Callable[[Answer], object], body: Any = None) -> Call:
        return Call(method, f"{self._prefix}/{path}", read, body)

    def _whole(self, endpoint: str) -> Callable[[Answer], object]:
        def read(answer: Answer) -> object:
            body = _expect(answer, 200)
            if self._by_type and not answer.type.startswith("application/json"):
                raise Fault("Content-Type", f"{answer.type or 'none'}, where the client takes only JSON")
            return self._decoders.check(self._client, endpoint, body)

        return read


def reachable(path: str = "/") -> Call:
    """The look whether anybody is there."""
    return Call("HEAD", path, lambda answer: _expect(answer, 200))


def _expect(answer: Answer, status: int) -> bytes:
    """The body of an answer with that status."""
    if answer.status != status:
        said = " ".join(answer.body[:_SNIPPET].decode("utf-8", "replace").split())
        raise Fault("status", f"{answer.status} instead of {status}" + (f" ({said})" if said else ""))
    return answer.body
