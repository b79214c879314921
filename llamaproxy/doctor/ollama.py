"""What the clients of Ollama's dialect require of each endpoint, as tables.

Each table comes from the client's own source, or from what it was seen to fail over: `api/types.go` and `cmd/cmd.go`
of Ollama 0.33; OllamaKit as Enchanted pins it (AugustDev) and upstream (kevinhermawan); Reins; ollama-python 0.6;
ollama-js 0.6; ollama-ai-provider-v2 3.6; llm-ollama 0.19; Open WebUI 0.12.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from .decoders import Fault, lines, many, read, shape

# Go and Swift refuse a time without a zone.
TIME = Annotated[datetime, Meta(tz=True)]
# The CLI takes the first twelve characters, without a look at the length.
DIGEST = Annotated[str, Meta(min_length=12)]
# Open WebUI makes numbers of the parts, after a "v" and up to a "-".
VERSION = Annotated[str, Meta(pattern=r"^v?\d+(\.\d+)*(-.*)?$")]
TEXT = Annotated[str, Meta(min_length=1)]
OBJECT = dict[str, Any]
NAMES = list[str] | None

# Nanoseconds and tokens of a last line: Go takes no 1000.0, ollama-python no 1000.5.
COUNTS = dict.fromkeys(
    (
        "total_duration",
        "load_duration",
        "prompt_eval_count",
        "prompt_eval_duration",
        "eval_count",
        "eval_duration",
    ),
    int,
)
# LangChain drops a reply whose reason is "load".
REASON = Literal["stop", "length"]
# The CLI takes an empty error for success.
ERROR = shape({"error": TEXT})

DETAILS = shape(
    {},
    {
        "parent_model": str,
        "format": str,
        "family": str,
        "families": NAMES,
        "parameter_size": str,
        "quantization_level": str,
    },
)
SPEECH = shape({"role": str, "content": str}, {"thinking": str})
SWIFT_SPEECH = shape({"role": Literal["system", "assistant", "user"], "content": str})
SWIFT_MODEL = {"name": str, "modified_at": TIME, "size": int, "digest": str}


def _list(fields: dict[str, Any], optional: dict[str, Any] | None = None) -> type[Struct]:
    return shape({"models": many(shape(fields, optional))})


_CLI = {
    "version": shape({"version": str}),
    "status": shape({"cloud": shape({"disabled": bool, "source": str})}),
    "experimental/model-recommendations": shape({"recommendations": list[OBJECT]}),
    "tags": _list(
        {"name": str, "size": int, "digest": DIGEST, "modified_at": TIME},
        {"model": str, "details": DETAILS, "remote_model": str, "capabilities": NAMES},
    ),
    "ps": _list(
        {
            "name": str,
            "model": str,
            "size": int,
            "size_vram": int,
            "digest": DIGEST,
            "expires_at": TIME,
            "context_length": int,
        },
    ),
    # `run` skips the loading for a remote host, and shows messages as if they had been said before.
    "show": shape(
        {"model_info": OBJECT, "details": DETAILS},
        {
            "modified_at": TIME,
            "capabilities": NAMES,
            "license": str,
            "modelfile": str,
            "parameters": str,
            "template": str,
            "system": str,
            "remote_host": Literal[""],
            "messages": Annotated[list[Any], Meta(max_length=0)],
        },
    ),
    "chat": shape(
        {"model": str, "created_at": TIME, "message": SPEECH, "done": bool}, {"done_reason": str, **COUNTS}
    ),
    "generate": shape(
        {"model": str, "created_at": TIME, "response": str, "done": bool},
        {"thinking": str, "done_reason": str, **COUNTS},
    ),
    "pull": shape(
        {"status": str},
        {"digest": Annotated[str, Meta(pattern="^sha256:.{12}")], "total": int, "completed": int},
    ),
    "error": ERROR,
}

_PYTHON = {
    "tags": _list(
        {},
        {"model": str, "modified_at": TIME, "digest": str, "size": int, "details": DETAILS},
    ),
    "ps": _list({}, {"model": str, "expires_at": TIME, "size": int, "size_vram": int, "context_length": int}),
    "show": shape({"model_info": OBJECT}, {"modified_at": TIME, "details": DETAILS, "capabilities": NAMES}),
    "chat": shape(
        {"message": shape({"role": str}, {"content": str | None, "thinking": str | None})},
        {"model": str, "created_at": str, "done": bool, "done_reason": REASON, **COUNTS},
    ),
    "generate": shape({"response": str}, {"model": str, "done": bool, "done_reason": str, **COUNTS}),
    "pull": shape({}, {"status": str, "digest": str, "total": int, "completed": int}),
    "embed": shape({"embeddings": list[list[float]]}, {"total_duration": int, "prompt_eval_count": int}),
    "embeddings": shape({"embedding": list[float]}),
    "error": ERROR,
}

_CAPABLE = shape({"model_info": OBJECT, "capabilities": list[str]})
_KIT_CHAT = shape({"model": str, "created_at": TIME, "done": bool, "message": SWIFT_SPEECH})
_FOUR_TEXTS = shape({"license": str, "modelfile": str, "parameters": str, "template": str})

# What each client asks, and what it must get. A reply's shape is that of each of its lines.
CLIENTS: Mapping[str, Mapping[str, type[Struct]]] = {
    "ollama-cli": _CLI,
    "enchanted": {
        "tags": _list(
            {
                **SWIFT_MODEL,
                "model": str,
                "details": shape({"parent_model": str, "format": str}, {"families": NAMES}),
            }
        ),
        "chat": _KIT_CHAT,
    },
    "ollamakit": {
        "tags": _list(
            {
                **SWIFT_MODEL,
                "details": shape(
                    {"format": str, "family": str, "parameter_size": str, "quantization_level": str},
                    {"families": NAMES},
                ),
            }
        ),
        "show": _FOUR_TEXTS,
        "chat": _KIT_CHAT,
    },
    "reins": {
        "tags": _list({**SWIFT_MODEL, "details": OBJECT}),
        "show": shape({}, {"capabilities": NAMES}),
        "chat": shape({"created_at": TIME, "message": SWIFT_SPEECH}),
        "generate": shape({"created_at": TIME, "response": str}),
    },
    "ollama-python": _PYTHON,
    "home-assistant": _PYTHON,
    "langchain-ollama": {**_PYTHON, "tags": _list({"model": str})},
    "llm-ollama": {
        **_PYTHON,
        "tags": _list({"model": str, "digest": TEXT}),
        "show": _CAPABLE,
    },
    "ollama-js": {
        "tags": _list({}),
        "chat": shape({}),
        "generate": shape({}),
        "pull": shape({}),
        "error": ERROR,
    },
    "oterm": {**_PYTHON, "show": _CAPABLE, "ps": _list({"model": str}, {"context_length": int})},
    # The picker shows a model by its own name, and takes its abilities and its context from the card.
    "vs-code": {"version": shape({"version": VERSION}), "tags": _list({"model": str}), "show": _CAPABLE},
    "ai-sdk": {
        "chat": shape({"model": str, "created_at": str, "done": bool, "message": shape({"role": str})})
    },
    "open-webui": {
        "version": shape({"version": VERSION}),
        "tags": _list({"model": str, "name": str}),
        "ps": _list({"model": str, "expires_at": TIME}),
        "chat": shape({}),
        "error": ERROR,
    },
}


def check(client: str, endpoint: str, body: bytes) -> Any:
    """Reads a whole answer as `client` does. `endpoint` is a path under `/api/`, or `error`. Raises Fault."""
    answer = read(CLIENTS[client][endpoint], body)
    if client == "llm-ollama" and endpoint == "tags":
        _distinct([model.digest for model in answer.models])
    return answer


def check_stream(client: str, endpoint: str, body: bytes) -> list[Any]:
    """Reads the lines of a stream as `client` does, the last of which must end it. Raises Fault."""
    found = lines(body)
    answers = []
    for number, line in enumerate(found, 1):
        try:
            _check_end(endpoint, read(OBJECT, line), number == len(found))
            answers.append(read(CLIENTS[client][endpoint], line))
        except Fault as fault:
            raise Fault(f"line {number}.{fault.path}".rstrip("."), fault.problem) from None
    return answers


def _check_end(endpoint: str, line: dict[str, Any], is_last: bool) -> None:
    if "error" in line:
        raise Fault("error", "ollama-js throws at the key, whatever its value")
    key, value = ("status", "success") if endpoint == "pull" else ("done", True)
    if (line.get(key) == value) is not is_last:
        raise Fault(key, "is not there to end the stream" if is_last else "ends the stream too early")


def _distinct(digests: Sequence[str]) -> None:
    for place, digest in enumerate(digests):
        if digest in digests[:place]:
            raise Fault(f"models[{place}].digest", "llm-ollama makes one model of two with the same digest")
