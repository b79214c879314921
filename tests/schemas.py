"""What the vendors' published OpenAPI documents require of each answer, as small JSON schemas.

Only fields that we send are listed; each object holds all fields that its vendor requires.
"""

from typing import Any

import jsonschema

STR: dict[str, Any] = {"type": "string"}
INT: dict[str, Any] = {"type": "integer", "minimum": 0}
NULL: dict[str, Any] = {"type": "null"}


def const(value: Any) -> dict[str, Any]:
    return {"const": value}


def maybe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, NULL]}


def some(*values: Any) -> dict[str, Any]:
    return {"enum": list(values)}


def many(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def shape(optional: dict[str, Any] | None = None, /, **required: dict[str, Any]) -> dict[str, Any]:
    """An object with these fields and no others; a field that is a Python word ends in `_`."""
    fields = {name.rstrip("_"): schema for name, schema in required.items()}
    return {
        "type": "object",
        "required": list(fields),
        "properties": {**fields, **(optional or {})},
        "additionalProperties": False,
    }


def one_of(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": list(schemas)}


def check(value: Any, schema: dict[str, Any]) -> None:
    """Raises `jsonschema.ValidationError`."""
    jsonschema.validate(value, schema)


# -- OpenAI: https://github.com/openai/openai-openapi

USAGE = shape(prompt_tokens=INT, completion_tokens=INT, total_tokens=INT)
FINISH = some("stop", "length", "content_filter")

CHAT_MESSAGE = shape({"reasoning_content": STR}, role=const("assistant"), content=STR, refusal=NULL)
CHAT = shape(
    id=STR,
    object=const("chat.completion"),
    created=INT,
    model=STR,
    system_fingerprint=STR,
    choices=many(shape(index=const(0), message=CHAT_MESSAGE, logprobs=NULL, finish_reason=FINISH)),
    usage=USAGE,
)
CHAT_DELTA = shape({"role": const("assistant"), "content": STR, "reasoning_content": STR})
CHAT_CHUNK = shape(
    {"usage": USAGE},
    id=STR,
    object=const("chat.completion.chunk"),
    created=INT,
    model=STR,
    system_fingerprint=STR,
    choices=many(shape(index=const(0), delta=CHAT_DELTA, finish_reason=maybe(FINISH))),
)
COMPLETION = shape(
    {"usage": USAGE},
    id=STR,
    object=const("text_completion"),
    created=INT,
    model=STR,
    system_fingerprint=STR,
    choices=many(
        shape(
            {"reasoning_content": STR}, index=const(0), text=STR, logprobs=NULL, finish_reason=maybe(FINISH)
        )
    ),
)
EMBEDDINGS = shape(
    object=const("list"),
    data=many(
        shape(object=const("embedding"), index=INT, embedding={"anyOf": [many({"type": "number"}), STR]})
    ),
    model=STR,
    usage=shape(prompt_tokens=INT, total_tokens=INT),
)
OPENAI_MODEL = shape(
    {"context_length": INT, "max_model_len": INT}, id=STR, object=const("model"), created=INT, owned_by=STR
)
OPENAI_ERROR = shape(error=shape(message={**STR, "minLength": 1}, type=STR, param=NULL, code=STR))

_TEXT_PART = shape(type=const("output_text"), text=STR, annotations=many(STR), logprobs=many(STR))
_SUMMARY = shape(type=const("summary_text"), text=STR)
_STATUS = some("in_progress", "completed", "incomplete")
ITEM = one_of(
    shape(type=const("message"), id=STR, status=_STATUS, role=const("assistant"), content=many(_TEXT_PART)),
    shape(type=const("reasoning"), id=STR, status=_STATUS, summary=many(_SUMMARY)),
)
RESPONSE = shape(
    id=STR,
    object=const("response"),
    created_at=INT,
    status=some("in_progress", "completed", "incomplete", "failed"),
    error=maybe(shape(code=some("server_error", "rate_limit_exceeded"), message=STR)),
    incomplete_details=maybe(shape(reason=some("max_output_tokens", "content_filter"))),
    instructions=NULL,
    max_output_tokens=maybe(INT),
    metadata={"type": "object"},
    model=STR,
    output=many(ITEM),
    parallel_tool_calls={"type": "boolean"},
    previous_response_id=maybe(STR),
    store={"type": "boolean"},
    temperature=maybe({"type": "number"}),
    text={"type": "object"},
    tool_choice=const("auto"),
    tools=many(STR),
    top_p=maybe({"type": "number"}),
    usage=maybe(
        shape(
            input_tokens=INT,
            input_tokens_details=shape(cached_tokens=INT, cache_write_tokens=INT),
            output_tokens=INT,
            output_tokens_details=shape(reasoning_tokens=INT),
            total_tokens=INT,
        )
    ),
)


def _response_event(name: str, **fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = f"response.{name}"
    return kind, shape(type=const(kind), sequence_number=INT, **fields)


_TEXT_AT = {"item_id": STR, "output_index": INT, "content_index": const(0)}
_SUMMARY_AT = {"item_id": STR, "output_index": INT, "summary_index": const(0)}
RESPONSE_EVENTS = dict(
    [
        *(
            _response_event(name, response=RESPONSE)
            for name in ("created", "in_progress", "completed", "incomplete", "failed")
        ),
        _response_event("output_item.added", output_index=INT, item=ITEM),
        _response_event("output_item.done", output_index=INT, item=ITEM),
        _response_event("content_part.added", **_TEXT_AT, part=_TEXT_PART),
        _response_event("content_part.done", **_TEXT_AT, part=_TEXT_PART),
        _response_event("output_text.delta", **_TEXT_AT, delta=STR, logprobs=many(STR)),
        _response_event("output_text.done", **_TEXT_AT, text=STR, logprobs=many(STR)),
        _response_event("reasoning_summary_part.added", **_SUMMARY_AT, part=_SUMMARY),
        _response_event("reasoning_summary_part.done", **_SUMMARY_AT, part=_SUMMARY),
        _response_event("reasoning_summary_text.delta", **_SUMMARY_AT, delta=STR),
        _response_event("reasoning_summary_text.done", **_SUMMARY_AT, text=STR),
    ]
)

# -- Anthropic: https://github.com/anthropics/anthropic-sdk-python, whose models are made from its OpenAPI document

ANTHROPIC_USAGE = shape(
    input_tokens=INT,
    output_tokens=INT,
    cache_creation_input_tokens=maybe(INT),
    cache_read_input_tokens=maybe(INT),
    cache_creation=NULL,
    server_tool_use=NULL,
    service_tier=NULL,
)
BLOCK = one_of(
    shape(type=const("text"), text=STR, citations=NULL),
    shape(type=const("thinking"), thinking=STR, signature=STR),
)
STOP_REASON = some("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal")
MESSAGE = shape(
    id={**STR, "pattern": "^msg_"},
    type=const("message"),
    role=const("assistant"),
    model=STR,
    content=many(BLOCK),
    stop_reason=maybe(STOP_REASON),
    stop_sequence=maybe(STR),
    usage=ANTHROPIC_USAGE,
)
TOKEN_COUNT = shape(input_tokens=INT)
ANTHROPIC_MODEL = shape(
    type=const("model"),
    id=STR,
    display_name=STR,
    created_at={**STR, "pattern": "Z$"},
    lifecycle=const("active"),
)
ANTHROPIC_MODELS = shape(
    data=many(ANTHROPIC_MODEL), has_more=const(False), first_id=maybe(STR), last_id=maybe(STR)
)
ANTHROPIC_ERROR = shape(
    type=const("error"),
    error=shape(
        type=some(
            "invalid_request_error",
            "authentication_error",
            "permission_error",
            "not_found_error",
            "request_too_large",
            "rate_limit_error",
            "timeout_error",
            "api_error",
            "overloaded_error",
        ),
        message={**STR, "minLength": 1},
    ),
    request_id={**STR, "pattern": "^req_"},
)
MESSAGE_EVENTS = {
    "message_start": shape(type=const("message_start"), message=MESSAGE),
    "content_block_start": shape(type=const("content_block_start"), index=INT, content_block=BLOCK),
    "content_block_delta": shape(
        type=const("content_block_delta"),
        index=INT,
        delta=one_of(
            shape(type=const("text_delta"), text=STR), shape(type=const("thinking_delta"), thinking=STR)
        ),
    ),
    "content_block_stop": shape(type=const("content_block_stop"), index=INT),
    "message_delta": shape(
        type=const("message_delta"),
        delta=shape(stop_reason=STOP_REASON, stop_sequence=maybe(STR)),
        usage=ANTHROPIC_USAGE,
    ),
    "message_stop": shape(type=const("message_stop")),
    "ping": shape(type=const("ping")),
    "error": ANTHROPIC_ERROR,
}
