"""What is heard of a body, by the decoder of its format."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, json

from llamaproxy.models.answers.anthropic import EventDecoder
from llamaproxy.models.answers.ollama import LineDecoder
from llamaproxy.models.answers.openai import ChunkDecoder
from llamaproxy.models.upstream.streaming import Decoder
from llamaproxy.seams.types import ModelDelta, ModelResult, Reasoning, Text

DONE = b"data: [DONE]\n\n"


class Heard(Struct):
    """The text, the thoughts, the calls as (name, arguments), and how it ended."""

    text: str
    thoughts: str
    calls: list[tuple[str, str]]
    result: ModelResult | None

    @property
    def finish(self) -> str:
        return self.result.finish_reason if self.result else "none"


def decoder(kind: str) -> Decoder:
    match kind:
        case "OPENAI":
            return ChunkDecoder("Model 'm'", "m")
        case "OLLAMA":
            return LineDecoder("Model 'm'", "m")
    return EventDecoder("Model 'm'", "m")


def hear(kind: str, *segments: bytes) -> Heard:
    """What `segments` are taken for; their end is the body's."""
    reading, deltas = decoder(kind), list[ModelDelta]()
    for segment in segments:
        reading.received(segment, deltas)
        if reading.finished:
            break
    else:
        reading.ended(deltas)
    result = reading.result()
    calls = [(call.name, call.arguments) for call in result.tool_calls] if result else []
    return Heard(said(deltas, Text), said(deltas, Reasoning), calls, result)


def said(deltas: Sequence[ModelDelta], kind: type[Text] | type[Reasoning]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, kind))


def sse(*frames: Any) -> bytes:
    """Events with these data."""
    return b"".join(b"data: %b\n\n" % json.encode(frame) for frame in frames)


def chunk(choice: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A frame of OpenAI's with one choice."""
    return {"choices": [choice], **fields}


def delta(**fields: Any) -> dict[str, Any]:
    """A frame of OpenAI's with one delta."""
    return chunk({"index": 0, "delta": fields})


def finish(reason: str = "stop", **fields: Any) -> dict[str, Any]:
    """OpenAI's frame with the reason of the end."""
    return chunk({"index": 0, "delta": {}, "finish_reason": reason}, **fields)


def lines(*objects: Any) -> bytes:
    """Ollama's lines."""
    return b"".join(json.encode(each) + b"\n" for each in objects)
