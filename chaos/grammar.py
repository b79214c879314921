"""What the fuzz sends: requests of every dialect with anything in any place, framed and cut in any way."""

import json
from random import Random
from typing import Any

# With it the modules of all commands are there.
from llamaproxy.agent.commands import commands  # noqa: F401
from llamaproxy.agent.commands.table import TABLE


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The keys of the house's callers; see `fuzz`.
KEYS = ("boss-key", "robot-key", "guest-key")
CHATS = (
    "/api/chat",
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/generate",
    "/v1/completions",
)
PATHS = _words(
    """
    / /v1 /api/version /api/tags /api/ps /api/show /api/chat /api/generate /api/embed /api/embeddings /api/pull
    /api/push /api/create /api/copy /api/delete /api/blobs/sha256:0 /v1/models /v1/models/m /v1/chat/completions
    /v1/completions /v1/embeddings /v1/responses /v1/messages /v1/messages/count_tokens /v1/api/chat
    /chat/completions /models /metrics /healthz /readyz /nowhere //api//chat/ /v1/../api/chat /%2e%2e/%00
    /api/chat?x=%ff#y
    """
)
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "get", "M\x7f")
HEADERS = _words(
    """
    Host Content-Type Accept Authorization x-api-key Origin User-Agent Cookie Expect Content-Encoding
    Transfer-Encoding Connection Upgrade X-Forwarded-For Forwarded X-Real-IP X-Llamaproxy-Chat X-Llamaproxy-User
    X-Llamaproxy-Task X-Llamaproxy-Depth X-Llamaproxy-Tools anthropic-version x-stainless-retry-count
    X-OpenWebUI-Chat-Id session-id X-Request-Id Range
    """
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
COMMANDS = tuple(f"!{name}{argument}" for name in sorted(TABLE) for argument in ("", " 1", " x y", " true"))
# Becomes JSON that is nested deeper than anybody reads.
DEEP = "as deep as it gets"
WHOLE = tuple(text for text in TEXTS if text.isprintable() or text.isascii())
ROLES = (*["user"] * 40, *["assistant"] * 20, "system", "tool", "developer", "User", "x", None)
FIELDS = _words(
    """
    model messages prompt input system stream tools tool_choice format think options max_tokens
    max_completion_tokens stop n user metadata response_format images suffix keep_alive instructions
    previous_response_id output_config stream_options temperature name source destination dimensions encoding_format
    reasoning_effort thinking conversation
    """
)
# What is asked where it is not a list of messages.
_MAIN = {
    "/v1/responses": "input",
    "/api/generate": "prompt",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
}


class Grammar:
    """Makes requests, and counts them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.requests = 0

    def connection(self) -> list[bytes]:
        """What one client sends, as the network cuts it."""
        sent = b"".join([self._request() for _ in range(self._random.choice((1, 2, 3, 5, 9)))])
        if self._random.random() < 0.2:
            sent = self._mutated(sent)
        cuts = sorted(
            self._random.randrange(len(sent) + 1) for _ in range(self._random.choice((0, 0, 1, 2, 8)))
        )
        return [piece for piece in map(sent.__getitem__, map(slice, [0, *cuts], [*cuts, None])) if piece]

    def _request(self) -> bytes:
        self.requests += 1
        choose = self._random.choice
        method = choose(METHODS) if self._random.random() < 0.1 else "POST"
        version = "HTTP/1.1" if self._random.random() < 0.98 else choose(("HTTP/1.0", "HTTP/2.0", "", "ICY"))
        path = choose(PATHS if self._random.random() < 0.2 else CHATS)
        body = self._body(path) if method not in ("GET", "HEAD") else b""
        lines = [f"{method} {path} {version}", "Host: localhost"]
        if self._random.random() < 0.2:
            lines.append(f"{choose(('Authorization: Bearer', 'x-api-key:'))} {choose(KEYS)}")
        lines += [f"{choose(HEADERS)}: {choose(VALUES)}" for _ in range(choose((*[0] * 9, 1, 2, 5)))]
        framing = self._random.random()
        if framing < 0.85:
            lines.append(f"Content-Length: {len(body)}")
        elif framing < 0.985:
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

    def _body(self, path: str) -> bytes:
        if self._random.random() < 0.03:
            return self._random.randbytes(self._random.randrange(300))
        fields: dict[str, Any] = {"model": self._random.choice(("m", "main", "other")), "max_tokens": 1024}
        fields["stream"] = self._random.choice((True, False))
        fields[_MAIN.get(path, "messages")] = (
            self._text() if path in _MAIN else [self._message() for _ in range(self._random.randrange(1, 5))]
        )
        if self._random.random() < 0.3:
            self._add_tools(path, fields)
        fields |= {
            self._random.choice(FIELDS): self._value(3)
            for _ in range(self._random.choice((0, 0, 0, 0, 1, 3)))
        }
        text = json.dumps(fields, ensure_ascii=False)
        if DEEP in text:
            depth = self._random.choice((30, 600, 5000))
            text = text.replace(f'"{DEEP}"', "[" * depth + "]" * depth)
        return text.encode("utf-8", "surrogatepass")

    def _add_tools(self, path: str, fields: dict[str, Any]) -> None:
        """Tools of the app, and what came of a call, in the form of the path's dialect."""
        choose = self._random.choice
        schema = {"type": "object", "properties": {"a": {"type": choose(("string", "integer", "null", ""))}}}
        name, identity = (
            choose(("look", "do it", "", "shell", "a" * 100)),
            choose(("call_1", "call_0", "", "x")),
        )
        if path == "/v1/messages":
            fields["tools"] = [{"name": name, "input_schema": schema}]
            result = {"type": "tool_result", "tool_use_id": identity, "content": self._text()}
            use = {"type": "tool_use", "id": identity, "name": name, "input": {"a": self._text()}}
            fields["messages"] += [
                {"role": "assistant", "content": [use]},
                {"role": "user", "content": [result]},
            ]
        elif path == "/v1/responses":
            fields["tools"] = [
                {"type": choose(("function", "custom", "shell")), "name": name, "parameters": schema}
            ]
            call: dict[str, Any] = {
                "type": "function_call",
                "call_id": identity,
                "name": name,
                "arguments": self._text(),
            }
            result = {"type": "function_call_output", "call_id": identity, "output": self._text()}
            fields["input"] = [{"type": "message", "role": "user", "content": self._text()}, call, result]
        else:
            fields["tools"] = [{"type": "function", "function": {"name": name, "parameters": schema}}]
            arguments: Any = choose((self._text(), '{"a": 1}', {"a": 1}))
            call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
            fields["messages"] = [
                *fields.get("messages", ()),
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": identity, "tool_name": name, "content": self._text()},
            ]
        if self._random.random() < 0.5:
            del fields["messages" if "messages" in fields else "input"][-2:]
            fields["tool_choice"] = choose(("auto", "none", "required", name, {"type": "any"}))

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
        chance = self._random.random()
        return self._random.choice(TEXTS if chance < 0.01 else COMMANDS if chance < 0.2 else WHOLE)

    def _value(self, depth: int) -> Any:
        kind = self._random.randrange(12 if depth else 7)
        match kind:
            case 0 | 1:
                return self._text()
            case 2:
                return self._random.choice((0, 1, -1, 2**63, 1.5, 1e308, 10**40))
            case 3:
                return self._random.choice((True, False, None, DEEP))
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
