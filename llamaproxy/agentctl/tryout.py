"""Tries one model: what its server says to a real question, and how fast."""

import base64
import os
import struct
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from time import monotonic
from typing import Any, NamedTuple

from msgspec import DecodeError, json

from ..config import Home, ModelEntry
from ..config.home import said_for
from .command import Refused
from .finding import Place, Unreachable, ask, connect, headers_for, names_at, why
from .registry import holds_weights

_QUESTION = "What is two plus three? Answer with the number alone."
_TOOL = {
    "name": "get_time",
    "description": "The time of day.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
# Characters; a token is about four of them.
_TOKEN = 4


class Check(NamedTuple):
    """One thing that was looked at; `holds` is None where nothing could be found out."""

    what: str
    holds: bool | None
    told: str = ""


class Said(NamedTuple):
    """A streamed answer: its pieces, and the seconds to the first and to the last one."""

    pieces: list[str]
    first: float
    whole: float


def tried(home: Home, entry: ModelEntry) -> Iterator[Check]:
    """What is found out about a model, one thing after another, up to the first that rules the others out."""
    if entry.type == "LOCAL":
        there = holds_weights(home.weights_file(entry.model_id))
        told = "it runs inside the server" if there else said_for(home, f"model-pull {entry.model_id}")
        yield Check("weights", there, told)
        return
    if entry.type not in ("OPENAI", "OLLAMA", "ANTHROPIC"):
        raise Refused(
            f"a model of type {entry.type} is tried by asking it: agentctl model KEY, then a chat app"
        )
    variable = entry.env_key or ""
    key = os.environ.get(variable) or home.read_env().get(variable, "")
    try:
        status, names = names_at(Place("", entry.type, entry.host), key, entry.connect_timeout)
    except Unreachable as error:
        yield Check("reachable", False, f"{entry.host}: {error}")
        return
    yield Check("reachable", True, entry.host)
    if status in (401, 403):
        yield Check(
            "key", False, "its server refuses it" if key else "its server wants one; name it in env_key"
        )
        return
    yield Check("key", True if key else None, "" if key else "none is set, and none was asked for")
    if status == 404 and entry.type == "OPENAI" and not entry.host.rstrip("/").endswith("/v1"):
        yield Check("name", False, f"there is nothing at this host; try {entry.host.rstrip('/')}/v1")
        return
    if names:
        known = entry.model_id in names or f"{entry.model_id}:latest" in names
        yield Check("name", known, entry.model_id if known else f"there is {', '.join(names[:10])}")
        if not known:
            return
    yield from _talked(entry, key)


def _talked(entry: ModelEntry, key: str) -> Iterator[Check]:
    try:
        said = _stream(entry, key, _body(entry, _QUESTION))
    except Unreachable as error:
        yield Check("answers", False, str(error))
        return
    text = " ".join("".join(said.pieces).split())
    yield Check("answers", bool(text), f"{text[:60]!r}" if text else "it said nothing")
    yield Check("streams", len(said.pieces) > 1 if len(text) > _TOKEN else None, f"{len(said.pieces)} pieces")
    rate = sum(map(len, said.pieces)) / _TOKEN / max(said.whole - said.first, 0.001)
    fast = f", about {rate:.0f} tokens a second" if len(said.pieces) > 3 else ""
    yield Check("speed", True, f"the first word after {said.first:.1f} s{fast}")
    body = _body(entry, "What time is it in Rome? Use the tool.") | {"stream": False, "tools": [_tool(entry)]}
    yield _judged("calls tools", entry, key, body, '"get_time"')
    yield _judged(
        "sees", entry, key, _body(entry, "Which colour is this picture?", red()) | {"stream": False}, "red"
    )


def _judged(what: str, entry: ModelEntry, key: str, body: dict[str, Any], sign: str) -> Check:
    """Whether the answer to `body` shows a sign."""
    try:
        answer = ask("POST", _url(entry), headers_for(entry.type, key), body, entry.first_token_timeout)
    except Unreachable as error:
        return Check(what, None, str(error))
    if answer.status != 200:
        return Check(what, False, f"its server refuses it (status {answer.status})")
    return Check(what, sign in answer.body.decode("utf-8", "replace").lower())


def _url(entry: ModelEntry) -> str:
    path = {"OLLAMA": "/api/chat", "ANTHROPIC": "/v1/messages"}.get(entry.type, "/chat/completions")
    return entry.host.rstrip("/") + path


def _body(entry: ModelEntry, text: str, picture: str = "") -> dict[str, Any]:
    content: Any = text
    message: dict[str, Any] = {"role": "user"}
    if picture and entry.type == "OLLAMA":
        message["images"] = [picture]
    elif picture and entry.type == "ANTHROPIC":
        source = {"type": "base64", "media_type": "image/png", "data": picture}
        content = [{"type": "text", "text": text}, {"type": "image", "source": source}]
    elif picture:
        url = {"url": f"data:image/png;base64,{picture}"}
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
    body = {"model": entry.model_id, "messages": [message | {"content": content}], "stream": True}
    return body | ({"max_tokens": 200} if entry.type == "ANTHROPIC" else {})


def _tool(entry: ModelEntry) -> dict[str, Any]:
    if entry.type == "ANTHROPIC":
        return {"name": "get_time", "description": _TOOL["description"], "input_schema": _TOOL["parameters"]}
    return {"type": "function", "function": _TOOL}


def _stream(entry: ModelEntry, key: str, body: dict[str, Any]) -> Said:
    """A streamed answer. Raises `Unreachable`, also for a refusal."""
    connection, target = connect(_url(entry), entry.first_token_timeout)
    began, first, pieces = monotonic(), 0.0, []
    try:
        connection.request("POST", target, json.encode(body), headers_for(entry.type, key))
        response = connection.getresponse()
        if response.status != 200:
            words = " ".join(response.read(300).decode("utf-8", "replace").split())
            raise Unreachable(f"status {response.status}: {words.replace(key, '***') if key else words}")
        while line := response.readline(1024 * 1024):
            if piece := _piece(line.strip().removeprefix(b"data:").strip()):
                first = first or monotonic() - began
                pieces.append(piece)
    except (OSError, HTTPException) as error:
        raise Unreachable(why(error)) from None
    finally:
        connection.close()
    return Said(pieces, first, monotonic() - began)


def _piece(line: bytes) -> str:
    """The text in one line of a stream, in whichever of the three formats."""
    try:
        frame = json.decode(line)
    except (DecodeError, UnicodeDecodeError):
        return ""
    try:
        match frame:
            case {"choices": [{"delta": {"content": str(text)}}, *_]} | {"message": {"content": str(text)}}:
                return text
            case {"delta": {"text": str(text)}}:
                return text
    except TypeError:
        pass
    return ""


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
