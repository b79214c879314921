"""Tries one model: what its server says to a real question, and how fast."""

import base64
import os
import re
import struct
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from http.client import HTTPException
from time import monotonic
from typing import Any, NamedTuple

from msgspec import json

from ..config import Home, ModelEntry
from ..config.home import said_for
from .answers import Refusal, piece_of, read
from .command import Refused
from .embedded import serving
from .finding import Answered, Place, Unreachable, ask, connect, headers_for, list_at, why
from .registry import holds_weights

_QUESTION = "What is two plus three? Answer with the number alone."
_TOOL = {
    "name": "get_time",
    "description": "The time of day.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
# Characters; a token is about four of them.
_TOKEN = 4
# Names that are told of what there is.
_MOST_NAMES = 10


class Check(NamedTuple):
    """One thing that was looked at; `holds` is None where nothing could be found out."""

    what: str
    holds: bool | None
    told: str = ""


class Server(NamedTuple):
    """Where a model is asked, in the format of which type, under which name and with which key."""

    kind: str
    host: str
    model_id: str
    key: str
    patience: float

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return headers_for(self.kind, self.key)

    def url(self, embedding: bool = False) -> str:
        """Where questions go."""
        paths = {"OLLAMA": "/api/chat", "ANTHROPIC": "/v1/messages"}
        if embedding:
            paths = {"OLLAMA": "/api/embed"}
        return self.host.rstrip("/") + paths.get(
            self.kind, "/embeddings" if embedding else "/chat/completions"
        )

    def hidden(self, words: str) -> str:
        """What a server said, without the key that it may have repeated."""
        return words.replace(self.key, "***") if self.key else words


class Said(NamedTuple):
    """A streamed answer: its pieces, its thoughts, the seconds to the first and to the last, what went wrong."""

    pieces: list[str]
    thoughts: list[str]
    first: float
    whole: float
    error: str


def tried(home: Home, entry: ModelEntry) -> Iterator[Check]:
    """What is found out about a model, one thing after another, up to the first that rules the others out."""
    if entry.type == "LOCAL":
        yield from _embedded(home, entry)
        return
    if entry.type not in ("OPENAI", "OLLAMA", "ANTHROPIC"):
        raise Refused(
            f"a model of type {entry.type} is tried by asking it: agentctl model KEY, then a chat app"
        )
    variable = entry.env_key or ""
    key = os.environ.get(variable) or home.read_env().get(variable, "")
    server = Server(entry.type, entry.host, entry.model_id, key, entry.first_token_timeout)
    try:
        listed, names = list_at(Place("", entry.type, entry.host), key, entry.connect_timeout)
    except Unreachable as error:
        yield Check("reachable", False, f"{entry.host}: {error}")
        return
    refused = None if listed.status == 200 else Refusal(listed)
    known = not names or entry.model_id in names or f"{entry.model_id}:latest" in names
    if listed.status == 404 and (right := _with_version(entry, key)):
        yield Check("address", False, f"there is nothing at {entry.host}; try {right}")
        return
    yield Check("reachable", True, entry.host)
    # Who may not list models may well use one.
    if refused is not None and refused.is_about_key and refused.status != 403:
        yield _wrong_key(server, variable, refused)
        return
    if entry.type == "OLLAMA" and not known:
        # Its list has all of them.
        yield _key(key)
        yield Check("name", False, _names(entry.model_id, names))
        return
    yield from _talked(server, variable, names, known, entry.embedding)


def _embedded(home: Home, entry: ModelEntry) -> Iterator[Check]:
    if not holds_weights(home.weights_file(entry.model_id)):
        yield Check("weights", False, said_for(home, f"model-pull {entry.model_id}"))
        return
    yield Check("weights", True, "it runs inside the server")
    began = monotonic()
    try:
        with serving(home, entry, entry.first_token_timeout) as (url, key):
            yield Check("reachable", True, f"loaded after {monotonic() - began:.1f} s")
            server = Server("OPENAI", url, entry.model_id, key, entry.first_token_timeout)
            checks = _talked(server, "", [], True, entry.embedding)
            yield from (check for check in checks if check.what not in ("key", "name"))
    except Unreachable as error:
        yield Check("reachable", False, str(error))


def _talked(server: Server, variable: str, names: list[str], known: bool, embedding: bool) -> Iterator[Check]:
    """Asks it; whether the key and the name are right shows by that alone."""
    try:
        made = _vector(server) if embedding else _stream(server, _body(server, _QUESTION))
    except Unreachable as error:
        yield Check("answers", False, str(error))
        return
    except Refusal as refusal:
        if refusal.is_about_key:
            yield _wrong_key(server, variable, refusal)
            return
        yield _key(server.key)
        if refusal.is_about_name or (refusal.status == 404 and not known):
            said = server.hidden(refusal.said)
            yield Check("name", False, "; ".join(filter(None, [said, _names(server.model_id, names)])))
            return
        yield _name(server, names, known)
        yield Check("answers", False, server.hidden(str(refusal)))
        return
    yield _key(server.key)
    yield _name(server, names, known)
    if isinstance(made, int):
        yield Check("answers", made > 0, f"vectors of {made} numbers" if made else "without a vector")
        return
    yield from _judged_talk(server, made)


def _judged_talk(server: Server, said: Said) -> Iterator[Check]:
    text = " ".join("".join(said.pieces).split())
    told = f"{text[:60]!r}" if text else server.hidden(said.error) or "it said nothing"
    if not text and said.thoughts:
        told = "it thought, and said nothing"
    yield Check("answers", bool(text), told)
    if not text:
        return
    count = len(said.pieces) + len(said.thoughts)
    yield Check(
        "streams", count > 1 if len(text) > _TOKEN else None, f"{count} piece{'s' if count > 1 else ''}"
    )
    rate = sum(map(len, said.pieces + said.thoughts)) / _TOKEN / max(said.whole - said.first, 0.001)
    fast = f", about {rate:.0f} tokens a second" if count > 3 else ""
    yield Check("speed", True, f"the first word after {said.first:.1f} s{fast}")
    asked = _body(server, "What time is it in Rome? Use the tool.") | {
        "stream": False,
        "tools": [_tool(server)],
    }
    yield _calls(server, asked)
    yield _sees(server, _body(server, "Which colour is this picture? One word.", red()) | {"stream": False})


def _key(key: str) -> Check:
    return Check("key", True if key else None, "" if key else "none is set, and none was asked for")


def _wrong_key(server: Server, variable: str, refusal: Refusal) -> Check:
    said = server.hidden(refusal.said)
    if server.key:
        return Check("key", False, f"its server refuses it ({said})")
    where = f"put it into {variable}" if variable else "name it in env_key"
    return Check("key", False, f"its server wants one; {where} ({said})")


def _name(server: Server, names: list[str], known: bool) -> Check:
    if known:
        return Check("name", True if names else None, server.model_id if names else "its server lists none")
    return Check(
        "name", None, f"not in its list, and it answers all the same; {_names(server.model_id, names)}"
    )


def _names(wanted: str, names: list[str]) -> str:
    """What there is, what is most like the one that was wanted first."""
    near = get_close_matches(wanted, names, n=3, cutoff=0.4)
    shown = [*near, *(name for name in names if name not in near)][:_MOST_NAMES]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"there is {', '.join(shown)}{more}" if shown else ""


def _with_version(entry: ModelEntry, key: str) -> str:
    """The address that was meant, if a server is there."""
    host = f"{entry.host.rstrip('/')}/v1"
    if entry.type != "OPENAI" or re.search(r"/v\d", entry.host):
        return ""
    try:
        listed, _ = list_at(Place("", entry.type, host), key, entry.connect_timeout)
    except Unreachable:
        return ""
    return host if listed.status != 404 else ""


def _asked(server: Server, body: dict[str, Any], embedding: bool = False) -> Answered:
    """The whole answer. Raises `Unreachable` or `Refusal`."""
    answer = ask("POST", server.url(embedding), server.headers, body, server.patience)
    if answer.status != 200:
        raise Refusal(answer)
    return answer


def _calls(server: Server, body: dict[str, Any]) -> Check:
    try:
        piece = read(_asked(server, body).content)
    except Unreachable as error:
        return Check("calls tools", None, str(error))
    except Refusal as refusal:
        holds = False if refusal.is_for_good or refusal.mentions("tool") else None
        return Check("calls tools", holds, server.hidden(str(refusal)))
    if _TOOL["name"] in piece.calls:
        return Check("calls tools", True)
    if "get_time" in piece.text:
        return Check("calls tools", None, "it writes of the tool in its text, where most calls are found")
    return Check("calls tools", False, "it answered without the tool")


def _sees(server: Server, body: dict[str, Any]) -> Check:
    try:
        text = read(_asked(server, body).content).text
    except Unreachable as error:
        return Check("sees", None, str(error))
    except Refusal as refusal:
        blind = refusal.mentions("image", "vision", "multimodal", "picture")
        return Check("sees", False if refusal.is_for_good or blind else None, server.hidden(str(refusal)))
    if re.search(r"\bred\b", text, re.IGNORECASE):
        return Check("sees", True)
    return Check("sees", False, f"of a red picture it says {' '.join(text.split())[:60]!r}")


def _vector(server: Server) -> int:
    """How long the vector of a text is. Raises as `_asked`."""
    content = _asked(server, {"model": server.model_id, "input": "five"}, embedding=True).content
    match content:
        case {"data": [{"embedding": list(vector)}, *_]} | {"embeddings": [list(vector), *_]}:
            return len(vector)
    return 0


def _body(server: Server, text: str, picture: str = "") -> dict[str, Any]:
    content: Any = text
    message: dict[str, Any] = {"role": "user"}
    if picture and server.kind == "OLLAMA":
        message["images"] = [picture]
    elif picture and server.kind == "ANTHROPIC":
        source = {"type": "base64", "media_type": "image/png", "data": picture}
        content = [{"type": "text", "text": text}, {"type": "image", "source": source}]
    elif picture:
        url = {"url": f"data:image/png;base64,{picture}"}
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
    body = {"model": server.model_id, "messages": [message | {"content": content}], "stream": True}
    return body | ({"max_tokens": 1000} if server.kind == "ANTHROPIC" else {})


def _tool(server: Server) -> dict[str, Any]:
    if server.kind == "ANTHROPIC":
        return {"name": "get_time", "description": _TOOL["description"], "input_schema": _TOOL["parameters"]}
    return {"type": "function", "function": _TOOL}


def _stream(server: Server, body: dict[str, Any]) -> Said:
    """A streamed answer. Raises `Unreachable` or `Refusal`."""
    connection, target = connect(server.url(), server.patience)
    began, first, error = monotonic(), 0.0, ""
    pieces: list[str] = []
    thoughts: list[str] = []
    try:
        connection.request("POST", target, json.encode(body), server.headers)
        response = connection.getresponse()
        if response.status != 200 or "html" in (response.getheader("content-type") or ""):
            raise Refusal(Answered(response.status, response.read(64 * 1024)))
        while line := response.readline(1024 * 1024):
            piece = piece_of(line.strip().removeprefix(b"data:").strip())
            error = piece.error or error
            if piece.text or piece.thought:
                first = first or monotonic() - began
            pieces += [piece.text] if piece.text else []
            thoughts += [piece.thought] if piece.thought else []
    except (OSError, HTTPException) as broken:
        raise Unreachable(why(broken)) from None
    finally:
        connection.close()
    return Said(pieces, thoughts, first, monotonic() - began, error)


def red() -> str:
    """A red picture of 32 by 32, in base64."""
    rows = b"".join(b"\0" + b"\xff\0\0" * 32 for _ in range(32))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).decode()
