"""What clients may ask of the generation itself, read into `Options`."""

from typing import Any, Literal

from msgspec import Struct

from ..seams.errors import BadRequest
from ..seams.types import Options
from .body import Name
from .schemas import checked

# What a client asks that asks for nothing.
PLAIN = Options()


class JsonSchema(Struct):
    """A schema under its name; chat completions have it inside `json_schema`."""

    schema: dict[str, Any] | None = None


class Format(Struct):
    """`response_format` of chat completions, and `text.format` of responses, which has the schema beside the type."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None
    schema: dict[str, Any] | None = None


class Reasoning(Struct):
    """`reasoning` of responses; OpenRouter's clients send it to chat completions too."""

    effort: Name | None = None


def read_options(
    *,
    max_tokens: int | None = None,
    stop: str | list[str] | None = None,
    form: Format | None = None,
    effort: str | None = None,
) -> Options:
    """What OpenAI's endpoints have in common; raises BadRequest."""
    if max_tokens is None and stop is None and form is None and effort is None:
        return PLAIN
    return Options(
        max_tokens=token_limit(max_tokens),
        stop=stop_texts(stop),
        json_schema=_json_schema(form or Format()),
        think=False if effort == "none" else effort or None,
    )


def token_limit(tokens: float | None) -> int | None:
    """The longest answer; apps send 0 or less (Ollama's -1 and -2) for as much as the model likes."""
    return int(tokens) if tokens and tokens >= 1 else None


def stop_texts(stop: str | list[str] | None) -> tuple[str, ...]:
    """The texts that end an answer; empty ones would end it at once."""
    return tuple(text for text in ([stop] if isinstance(stop, str) else stop or ()) if text)


def _json_schema(form: Format) -> dict[str, Any] | None:
    if form.type == "text":
        return None
    if form.type == "json_object":
        return {}
    schema = form.json_schema.schema if form.json_schema else form.schema
    if schema is None:
        raise BadRequest("response_format: a schema is needed with the type json_schema")
    return checked(schema, "response_format")
