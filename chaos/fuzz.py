"""Requests that nobody should send, by the million, at a whole server in memory: `python -m chaos.fuzz`.

Each connection gets one to three requests of a grammar (every endpoint, odd headers, odd framing, JSON with anything in
any place), mutated byte by byte, and cut anywhere by the network. What must never come: a 500, HTML, a word of Python,
an exception that nobody foresaw, a connection that stays silent. A run with the same seed is the same run.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.seams.interfaces import IDeltaReceiver, IModel
from llamaproxy.seams.types import ModelInfo, ModelRequest, ModelResult, Text
from tests.support import Front, House, ScriptedModel, Wire

CHATS = (
    "/api/chat",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/generate",
    "/v1/completions",
)
PATHS = (
    *(
        "/",
        "/v1",
        "/api/version",
        "/api/tags",
        "/api/ps",
        "/api/show",
        "/api/chat",
        "/api/generate",
        "/api/embed",
    ),
    *(
        "/api/embeddings",
        "/api/pull",
        "/api/push",
        "/api/create",
        "/api/copy",
        "/api/delete",
        "/api/blobs/sha256:0",
    ),
    *(
        "/v1/models",
        "/v1/models/m",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/responses",
    ),
    *(
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/api/chat",
        "/chat/completions",
        "/models",
        "/metrics",
    ),
    *(
        "/healthz",
        "/readyz",
        "/nowhere",
        "//api//chat/",
        "/v1/../api/chat",
        "/%2e%2e/%00",
        "/api/chat?x=%ff#y",
    ),
)
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "M\x7f")
HEADERS = (
    *(
        "Host",
        "Content-Type",
        "Accept",
        "Authorization",
        "x-api-key",
        "Origin",
        "User-Agent",
        "Cookie",
        "Expect",
    ),
    *(
        "Content-Encoding",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "X-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
    ),
    *(
        "X-Llamaproxy-Chat",
        "X-Llamaproxy-User",
        "X-Llamaproxy-Task",
        "X-Llamaproxy-Depth",
        "X-Llamaproxy-Tools",
    ),
    *(
        "anthropic-version",
        "x-stainless-retry-count",
        "X-OpenWebUI-Chat-Id",
        "session-id",
        "X-Request-Id",
        "Range",
    ),
)
VALUES = (
    *(
        "",
        "a",
        "*/*",
        "localhost",
        "evil.com",
        "127.0.0.1",
        "[::1]",
        "gzip",
        "zstd",
        "chunked",
        "identity",
        "close",
    ),
    *(
        "keep-alive",
        "100-continue",
        "Bearer x",
        "Bearer ",
        "for=127.0.0.1",
        "10.0.0.1, 127.0.0.1",
        "1" * 40,
        "-1",
    ),
    *(
        "ollama/0.1 Go/go1",
        "OpenAI/Python 2",
        "claude-cli/2",
        "codex_cli_rs/1",
        "Python/3.11 aiohttp/3",
        "\xff\xfe",
    ),
)
TEXTS = (
    *(
        "hello",
        "!help",
        "!nope",
        "!model main\nhi",
        "@other hi",
        "",
        " ",
        "\ud83d",
        "\0",
        "a" * 3000,
        "!" * 200,
    ),
    *(
        "### Task:\n<context>x</context>\n\nq",
        "<system-reminder>x</system-reminder>",
        "<think>",
        "\u2028!help",
    ),
    *(
        "```" * 500,
        "<tool_call>{" * 50,
        "[TOOL_CALLS]",
        "!reset\n!reset",
        "data:image/png;base64,AAAA",
        "\r\r\r",
    ),
)
WHOLE = tuple(text for text in TEXTS if text.isprintable() or text.isascii())
ROLES = (*["user"] * 12, *["assistant"] * 6, "system", "tool", "developer", "User", "x", None)
FIELDS = (
    *(
        "model",
        "messages",
        "prompt",
        "input",
        "system",
        "stream",
        "tools",
        "tool_choice",
        "format",
        "think",
        "options",
    ),
    *(
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "n",
        "user",
        "metadata",
        "response_format",
        "images",
        "suffix",
    ),
    *(
        "keep_alive",
        "instructions",
        "previous_response_id",
        "output_config",
        "stream_options",
        "temperature",
        "name",
    ),
    *(
        "source",
        "destination",
        "dimensions",
        "encoding_format",
        "reasoning_effort",
        "thinking",
        "conversation",
    ),
)
# Connections between two looks at whether the house is still in order, each with a house of its own.
ROUND = 2_000
FORBIDDEN = (b"<html", b"<HTML", b"Traceback", b"object at 0x", b"site-packages")


@implementer(IModel)
class Parrot(ScriptedModel):
    """Answers at once."""

    def __init__(self, key: str, random: Random) -> None:
        super().__init__(key)
        self._random = random

    def info(self) -> ModelInfo:
        """What lists show."""
        return self._info

    def chat(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """Says a few words, in as many segments as it likes."""
        receiver.registerProducer(_Unheld())
        for _ in range(self._random.randrange(1, 4)):
            receiver.deltasReceived([Text("word "), Text(self._random.choice(TEXTS))])
        receiver.unregisterProducer()
        return succeed(ModelResult())


@implementer(IPushProducer)
class _Unheld:
    """A stream that is over before anybody could hold it."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


class Grammar:
    """Makes requests."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def connection(self) -> list[bytes]:
        """What one client sends, as the network cuts it."""
        sent = b"".join(self._request() for _ in range(self._random.choice((1, 1, 1, 2, 3))))
        if self._random.random() < 0.15:
            sent = self._mutated(sent)
        cuts = sorted(
            self._random.randrange(len(sent) + 1) for _ in range(self._random.choice((0, 0, 1, 2, 8)))
        )
        return [piece for piece in map(sent.__getitem__, map(slice, [0, *cuts], [*cuts, None])) if piece]

    def _request(self) -> bytes:
        choose = self._random.choice
        method = choose(METHODS) if self._random.random() < 0.2 else "POST"
        body = self._body() if method not in ("GET", "HEAD") else b""
        version = "HTTP/1.1" if self._random.random() < 0.95 else choose(("HTTP/1.0", "HTTP/2.0", "", "ICY"))
        path = choose(PATHS if self._random.random() < 0.3 else CHATS)
        lines = [f"{method} {path} {version}", "Host: localhost"]
        lines += [f"{choose(HEADERS)}: {choose(VALUES)}" for _ in range(choose((0, 0, 0, 0, 1, 2, 5)))]
        framing = self._random.random()
        if framing < 0.8:
            lines.append(f"Content-Length: {len(body)}")
        elif framing < 0.9:
            lines.append("Transfer-Encoding: chunked")
            body = (
                b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in self._pieces(body)) + b"0\r\n\r\n"
            )
        else:
            lines.append(
                f"Content-Length: {choose(('0', '-1', '1e3', str(len(body) + 5), str(len(body) // 2), '9' * 30))}"
            )
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body

    def _pieces(self, body: bytes) -> list[bytes]:
        size = self._random.randrange(1, 400)
        return [body[start : start + size] for start in range(0, len(body), size)]

    def _body(self) -> bytes:
        if self._random.random() < 0.03:
            return self._random.randbytes(self._random.randrange(300))
        fields: dict[str, Any] = {
            "model": "m",
            "prompt": self._text(),
            "input": self._text(),
            "max_tokens": 1024,
        }
        fields["messages"] = [self._message() for _ in range(self._random.randrange(1, 5))]
        fields["stream"] = self._random.choice((True, False))
        fields |= {
            self._random.choice(FIELDS): self._value(3) for _ in range(self._random.choice((0, 0, 0, 1, 3)))
        }
        return _json(fields).encode("utf-8", "surrogatepass")

    def _message(self) -> Any:
        if self._random.random() < 0.05:
            return self._value(2)
        role = self._random.choice(ROLES)
        content = self._text() if self._random.random() < 0.9 else self._value(3)
        return {
            "role": role,
            "content": content,
            **({self._random.choice(FIELDS): self._value(2)} if self._random.random() < 0.2 else {}),
        }

    def _text(self) -> str:
        # What is no text at all is refused with the whole body, so that little else would be tried.
        return self._random.choice(TEXTS if self._random.random() < 0.02 else WHOLE)

    def _value(self, depth: int) -> Any:
        kind = self._random.randrange(12 if depth else 7)
        match kind:
            case 0 | 1:
                return self._text()
            case 2:
                return self._random.choice((0, 1, -1, 2**63, 1.5, 1e308, 10**40))
            case 3:
                return self._random.choice((True, False, None))
            case 4:
                return {
                    "type": self._random.choice(
                        ("text", "image_url", "tool_result", "file", "function", "foo")
                    ),
                    "text": self._text(),
                }
            case 5:
                return {"type": "tool_result", "tool_use_id": self._text(), "content": self._text()}
            case 6:
                return {
                    "type": "json_schema",
                    "json_schema": {"schema": {"type": self._text(), "$ref": "#/x"}},
                }
            case 7 | 8:
                return [self._value(depth - 1) for _ in range(self._random.randrange(4))]
            case _:
                return {
                    self._random.choice((*FIELDS, "type", "text", "content", "url", "data")): self._value(
                        depth - 1
                    )
                    for _ in range(self._random.randrange(4))
                }

    def _mutated(self, sent: bytes) -> bytes:
        made = bytearray(sent)
        for _ in range(self._random.choice((1, 1, 2, 5))):
            place = self._random.randrange(len(made) + 1)
            match self._random.randrange(4):
                case 0:
                    made[place : place + 1] = self._random.randbytes(1)
                case 1:
                    del made[place : place + self._random.randrange(1, 20)]
                case 2:
                    made[place:place] = self._random.choice(
                        (b"\r\n", b"\n", b"\0", b"\xff", b" ", b"\r\n\r\n", b"{", b'"')
                    )
                case _:
                    made[place:place] = made[place : place + self._random.randrange(1, 30)]
        return bytes(made)


@implementer(ILogObserver)
class Judge:
    """Looks at what came, and keeps what must not have."""

    def __init__(self) -> None:
        self.connections = self.answers = 0
        self.statuses: Counter[int] = Counter()
        self.complaints: list[tuple[str, bytes]] = []
        self._sent = b""

    def __call__(self, event: LogEvent) -> None:
        """Hears the log: what nobody foresaw is in it."""
        if event.get("log_failure") is not None:
            self._complain(f"an exception: {event['log_failure'].getTraceback()[-1500:]}")

    def begins(self, sent: bytes) -> None:
        """A client sends this."""
        self._sent = sent
        self.connections += 1

    def ends(self, heard: bytes, closed: bool, silent: bool) -> None:
        """This is what it got."""
        for status in _statuses(heard):
            self.answers += 1
            self.statuses[status] += 1
            if status == 500:
                self._complain(f"a 500: {heard[-400:]!r}")
        if any(word in heard for word in FORBIDDEN):
            self._complain(f"not for a client: {heard[-400:]!r}")
        if silent and not closed:
            self._complain("neither an answer nor an end, after ten minutes")

    def _complain(self, why: str) -> None:
        self.complaints.append((why, self._sent))


def _statuses(heard: bytes) -> list[int]:
    return [
        int(line[9:12])
        for line in heard.split(b"\r\n")
        if line.startswith(b"HTTP/1.1 ") and line[9:12].isdigit()
    ]


def _json(value: Any) -> str:
    """JSON that may hold half an emoji, which a strict encoder refuses."""
    import json

    return json.dumps(value, ensure_ascii=False)


def play(connections: int, seed: int, judge: Judge, watch: Callable[[int], None] = lambda done: None) -> None:
    """Plays that many connections."""
    random = Random(seed)
    grammar = Grammar(random)
    globalLogPublisher.addObserver(judge)
    try:
        for done in range(0, connections, ROUND):
            folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
            house = House(
                Parrot("main", random), Parrot("other", random), folder=folder, limits=Limits(max_users=0)
            )
            front = Front(house, max_body_bytes=200_000)
            for _ in range(min(ROUND, connections - done)):
                _one(front, house, grammar.connection(), random, judge)
            house.close()
            folder.rmdir()
            watch(done + min(ROUND, connections - done))
    finally:
        globalLogPublisher.removeObserver(judge)


def _one(front: Front, house: House, pieces: Sequence[bytes], random: Random, judge: Judge) -> None:
    judge.begins(b"".join(pieces))
    wire: Wire = front.connect(f"192.168.1.{random.randrange(1, 20)}")
    # As a real transport: to have none any more is no mistake.
    transport: Any = wire.transport
    transport.unregisterProducer = lambda: setattr(transport, "producer", None)
    for piece in pieces:
        if wire.transport.disconnecting or wire.transport.disconnected:
            break
        wire.channel.dataReceived(piece)
    if random.random() < 0.1:
        wire.channel.connectionLost(Failure(ConnectionLost()))
        judge.ends(wire.transport.value(), closed=True, silent=False)
        return
    for _ in range(10):
        house.clock.advance(60)
    closed = wire.transport.disconnecting or wire.transport.disconnected
    heard = wire.transport.value()
    judge.ends(heard, closed, silent=not heard)
    if not wire.transport.disconnected:
        wire.channel.connectionLost(Failure(ConnectionLost()))


def main() -> int:
    """Plays, and prints the counts; 1 if anything came that must not."""
    parser = argparse.ArgumentParser(prog="chaos.fuzz", description=__doc__)
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    judge, began = Judge(), process_time()
    play(options.connections, options.seed, judge, lambda done: print(f"\r{done:,}", end="", file=sys.stderr))
    print(
        f"\r{judge.connections:,} connections with {judge.answers:,} answers in {process_time() - began:,.0f} s of "
        f"processor time, seed {options.seed}: {len(judge.complaints)} complaints"
    )
    print(", ".join(f"{count:,} x {status}" for status, count in sorted(judge.statuses.items())))
    for why, sent in judge.complaints[:10]:
        print(f"\n{why}\n  for {sent[:1500]!r}")
    return bool(judge.complaints)


if __name__ == "__main__":
    sys.exit(main())
