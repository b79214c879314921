"""What the clients of OpenAI's dialect require of each endpoint, as tables.

Each table comes from the client's own source, or from what it was seen to fail over: MacPaw/OpenAI, the Swift library
of many apps; the schemas of @ai-sdk/openai-compatible 2.0, which Chatbox uses too; openai-python and openai-node 2 to
6, also inside LangChain, LM Studio's plugin, oterm's pydantic-ai and `llm`; Open WebUI 0.12.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta, Struct

from .decoders import Fault, events, many, read, shape

TEXT = Annotated[str, Meta(min_length=1)]
WORDS = str | None
NUMBERS = int | None

# MacPaw decodes an enumeration.
REASON = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
ERROR = shape({"error": shape({"message": TEXT, "type": str})})
USAGE = shape({"prompt_tokens": int, "completion_tokens": int, "total_tokens": int})
ANY_USAGE = shape({}, dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), NUMBERS)) | None


def _one(kind: type[Struct]) -> Any:
    """Exactly one: programs read the first without a look, and Open WebUI's tasks refuse another count."""
    return Annotated[many(kind), Meta(min_length=1, max_length=1)]


def _list(fields: dict[str, Any], optional: dict[str, Any] | None = None) -> type[Struct]:
    return shape({"data": many(shape(fields, optional))})


_LIBRARY = {
    "models": _list({"id": TEXT}),
    "chat": shape({"choices": _one(shape({"message": shape({"content": WORDS})}))}, {"usage": USAGE | None}),
    "chunk": shape(
        {"choices": _one(shape({"delta": shape({}, {"content": WORDS})}))}, {"usage": USAGE | None}
    ),
    "error": ERROR,
}
# What asks for usage gets a chunk without choices, and takes all three numbers out of it.
_COUNTING = {
    **_LIBRARY,
    "chunk": shape(
        {"choices": many(shape({"delta": shape({}, {"content": WORDS})}))}, {"usage": USAGE | None}
    ),
}
_IDENTITY = {"id": str, "object": str, "created": int, "model": str}
_AI_IDENTITY = {"id": WORDS, "created": int | float | None, "model": WORDS, "usage": ANY_USAGE}
_AI_SPEECH = {"content": WORDS, "reasoning_content": WORDS, "reasoning": WORDS}

# What each client asks, and what it must get; `chunk` is one event of a streamed `chat`.
CLIENTS: Mapping[str, Mapping[str, type[Struct]]] = {
    "open-webui": {
        "models": _list({"id": TEXT}, {"name": WORDS}),
        "chat": shape({"choices": _one(shape({"message": shape({"content": str})}))}),
        "chunk": shape(
            {}, {"choices": many(shape({}, {"delta": shape({}, {"content": WORDS})})), "usage": USAGE}
        ),
        "error": shape({}),
    },
    "macpaw": {
        "models": _list({"id": str, "created": int, "object": str, "owned_by": str}),
        "chat": shape(
            {
                **_IDENTITY,
                "choices": _one(
                    shape(
                        {
                            "index": int,
                            "message": shape({"role": str}, {"content": WORDS}),
                            "finish_reason": str,
                        }
                    )
                ),
            },
            {"usage": USAGE | None},
        ),
        "chunk": shape(
            {
                **_IDENTITY,
                "choices": _one(
                    shape(
                        {
                            "index": int,
                            "delta": shape({}, {"content": WORDS, "role": Literal["assistant"] | None}),
                        },
                        {"finish_reason": REASON | None},
                    )
                ),
            }
        ),
        "error": ERROR,
    },
    "openai-python": _LIBRARY,
    "openai-node": _LIBRARY,
    "lm-studio": _LIBRARY,
    "langchain-openai": _LIBRARY,
    "vs-code": _COUNTING,
    "oterm": _COUNTING,
    # It takes what comes field by field, and shows an error's message.
    "chat-page": {
        "models": _list({"id": TEXT}),
        "chunk": shape(
            {}, {"choices": many(shape({"delta": shape({}, {"content": WORDS, "reasoning_content": WORDS})}))}
        ),
        "error": ERROR,
    },
    "ai-sdk": {
        "chat": shape(
            {
                "choices": _one(
                    shape(
                        {"message": shape({}, {"role": Literal["assistant"] | None, **_AI_SPEECH})},
                        {"finish_reason": WORDS},
                    )
                )
            },
            _AI_IDENTITY,
        ),
        "chunk": shape(
            {
                "choices": many(
                    shape(
                        {},
                        {
                            "delta": shape({}, {"role": Literal["assistant", ""] | None, **_AI_SPEECH})
                            | None,
                            "finish_reason": WORDS,
                        },
                    )
                )
            },
            _AI_IDENTITY,
        ),
        "error": shape({"error": shape({"message": str}, {"type": WORDS})}),
    },
}
CLIENTS = {
    **CLIENTS,
    "chatbox": {**CLIENTS["ai-sdk"], "models": _list({"id": TEXT}, {"context_length": NUMBERS})},
}


class Habits(NamedTuple):
    """How a client reads a stream: the fields it fails over, and what it cannot end without."""

    forbidden: tuple[bytes, ...] = ()
    needs_reason: bool = False
    needs_done: bool = False


# openai-python dispatches an event for an `id:` alone, and fails over its emptiness.
_PYTHON = Habits(forbidden=(b"id",))
# The AI SDK reports an error where no finish reason came, although the text did.
_AI = Habits(needs_reason=True)
_HABITS: Mapping[str, Habits] = {
    # MacPaw's reader fails the stream; apps with a reader of their own wait for the closing mark.
    "macpaw": Habits(forbidden=(b"event",), needs_done=True),
    "openai-python": _PYTHON,
    "langchain-openai": _PYTHON,
    "oterm": _PYTHON,
    "ai-sdk": _AI,
    "chatbox": _AI,
}
_DONE = b"[DONE]"


def check(client: str, endpoint: str, body: bytes) -> Any:
    """Reads a whole answer as `client` does. `endpoint` is `models`, `chat` or `error`. Raises Fault."""
    return read(CLIENTS[client][endpoint], body)


def check_stream(client: str, endpoint: str, body: bytes) -> list[Any]:
    """Reads the events of a streamed `chat` as `client` does. Raises Fault."""
    habits = _HABITS.get(client, Habits())
    found = events(body, habits.forbidden)
    if habits.needs_done and found[-1] != _DONE:
        raise Fault("data: [DONE]", "is not there to end the stream")
    chunks, reasons = [], []
    for number, payload in enumerate(found, 1):
        if payload == _DONE:
            break
        try:
            reasons.append(_reason(read(dict[str, Any], payload)))
            chunks.append(read(CLIENTS[client]["chunk"], payload))
        except Fault as fault:
            raise Fault(f"event {number}.{fault.path}".rstrip("."), fault.problem) from None
    if habits.needs_reason and not any(reasons):
        raise Fault("choices[0].finish_reason", "is in no event, and the reply counts as failed")
    return chunks


def _reason(chunk: dict[str, Any]) -> Any:
    """Why the reply ends, if this chunk says so."""
    if chunk.get("error"):
        raise Fault("error", f"ends the reply: {chunk['error']}")
    choices = chunk.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("finish_reason") if isinstance(first, dict) else None
