"""OpenAI's responses: a turn as JSON and as named server-sent events.

Source: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming. Nothing is kept under a
response's id: the conversation is the agent's own session, so `previous_response_id` and `store` change nothing.
"""

from collections.abc import Callable
from itertools import count
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from ..seams.arguments import arguments_object, arguments_text
from ..seams.errors import AgentError, BadRequest
from ..seams.types import AgentEvent, ChatTurn, Reasoning, ReplyEnd, Text, ToolCall, Usage
from .base import (
    COMMENT,
    EVENT_STREAM,
    BlockEncoder,
    ChatRequest,
    message_of,
    named_event,
    new_id,
    quick_json,
    quote,
    to_json,
)
from .body import Entries, Name, decode, decode_body
from .brought import Brought
from .fields import CommonFields, identity_of, ignored_of, is_there
from .options import Format, read_options
from .options import Reasoning as ReasoningOptions
from .outline import Outline
from .parsing import WireMessage, last_user_turn, turn_of


class _TextOptions(Struct):
    format: Format | None = None


class _Item(Struct):
    """One entry of `input`: a message, or something from an earlier answer, which is passed over."""

    type: Name = "message"
    role: Name = "user"
    content: Raw = Raw(b"null")
    call_id: Raw = Raw(b"null")
    output: Raw = Raw(b"null")


class _Body(CommonFields):
    """Body of POST /v1/responses, as far as it is read or given back."""

    model: Name | None = None
    input: str | Entries[_Item] | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    text: _TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    instructions: Raw = Raw(b"null")
    previous_response_id: Name | None = None
    temperature: float | None = None
    top_p: float | None = None


_body = Decoder(_Body)
_NOTHING = Raw(b"null")
_metadata: Decoder[dict[str, str] | None] = Decoder(dict[str, str] | None)

# Items that tell the app's results.
_RESULTS = ("function_call_output", "custom_tool_call_output")

# Why a response may be incomplete.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter", "refusal": "content_filter"}


class ResponseRequest(ChatRequest, frozen=True, kw_only=True):
    """`echo` are the fields of the request that a response repeats."""

    echo: dict[str, Any]


def parse(body: bytes) -> ResponseRequest:
    """Body of POST /v1/responses; streams only when asked to."""
    asked = decode_body(body, _body)
    options = read_options(
        max_tokens=asked.max_output_tokens,
        form=asked.text.format if asked.text else None,
        effort=asked.reasoning.effort if asked.reasoning else None,
    )
    messages: list[WireMessage] = []
    shown: list[WireMessage] = []
    problem = None
    if isinstance(asked.input, str):
        if not asked.input.strip():
            raise BadRequest("input: the message is empty")
        turn, prompt = turn_of(asked.input, options), asked.input
    else:
        shown = [_message(item) for item in asked.input or () if item.type in ("message", *_RESULTS)]
        messages = [message for message in shown if message.role != "tool"]
        if not shown:
            raise BadRequest("input: a message is needed")
        if messages:
            turn, prompt = last_user_turn(messages, options, "input"), ""
        else:
            turn, prompt = ChatTurn(text="", options=options), ""
            problem = BadRequest("input: a message is needed")
        if asked.previous_response_id:
            # What was said before is here, and not in the input.
            turn = replace(turn, trail=(), shown=())
    outline = Outline(messages, prompt=prompt, system=asked.instructions, tools=is_there(asked.tools))
    return ResponseRequest(
        turn=turn,
        model=asked.model or "",
        stream=bool(asked.stream),
        outline=outline,
        brought=Brought(asked, shown, asked.instructions, problem),
        ignored=ignored_of(
            asked, ("instructions", is_there(asked.instructions)), ("system", outline.has_system)
        ),
        identity=identity_of(asked),
        echo={
            "max_output_tokens": asked.max_output_tokens,
            "metadata": decode(asked.metadata or _NOTHING, _metadata, "metadata") or {},
            "previous_response_id": asked.previous_response_id,
            "temperature": asked.temperature,
            "text": {"format": {"type": "text"}},
            "top_p": asked.top_p,
        },
    )


def _message(item: _Item) -> WireMessage:
    """A message of the input, or the result of a tool."""
    if item.type == "message":
        return WireMessage(item.role, item.content)
    return WireMessage("tool", item.output, tool_call_id=item.call_id)


class ResponseEncoder(BlockEncoder):
    """A response; `now` is in Unix seconds. Each block of reasoning or text is an item of its `output`."""

    content_type = EVENT_STREAM

    def __init__(self, request: ResponseRequest, now: float) -> None:
        super().__init__()
        self._numbers = count()
        self._items: list[dict[str, Any]] = []
        self._brought = request.brought
        # Of the item that is open.
        self._pieces: list[str] = []
        self._head = ""
        self._response = {
            "id": new_id("resp_"),
            "object": "response",
            "created_at": int(now),
            "model": request.model,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "parallel_tool_calls": False,
            "store": False,
            "tool_choice": "auto",
            "tools": [],
            **request.echo,
        }
        self._write = _writer(request.echo)

    def start(self) -> bytes:
        """The response before its first item."""
        begun = {**self._response, "status": "in_progress", "output": [], "usage": None}
        return (
            self._event("response.created", response=begun)
            + self._event("response.in_progress", response=begun)
        ).encode("ascii")

    def heartbeat(self) -> bytes:
        """A comment."""
        return COMMENT

    def finish(self, end: ReplyEnd) -> bytes:
        """The end of the open item, the calls that the app is to make, and the whole response."""
        frames = self._turn_to(None) + "".join(map(self._call, self._calls(end)))
        done = self._done(end)
        return (frames + self._event(f"response.{done['status']}", response=done)).encode("ascii")

    def fail(self, reason: AgentError) -> bytes:
        """The response as far as it came, as failed, with the reason."""
        frames = self._turn_to(None)
        # codex asks five times more after a failure that it has no name for.
        code = "invalid_prompt" if 400 <= reason.status < 500 else "server_error"
        code = "rate_limit_exceeded" if reason.status == 429 else code
        failed = {
            **self._response,
            "status": "failed",
            "error": {"code": code, "message": message_of(reason)},
            "output": self._items,
            "usage": None,
        }
        return (frames + self._event("response.failed", response=failed)).encode("ascii")

    def whole(self, text: str, reasoning: str, end: ReplyEnd) -> bytes:
        """The whole response."""
        blocks: tuple[tuple[type[AgentEvent], str], ...] = ((Reasoning, reasoning), (Text, text))
        self._items = [_item(kind, _id_for(kind), said) for kind, said in blocks if said]
        self._items += self._calls(end)
        return to_json(self._done(end))

    def _done(self, end: ReplyEnd) -> dict[str, Any]:
        done = {**self._response, "status": "completed", "output": self._items, "usage": _usage(end.usage)}
        if reason := _INCOMPLETE.get(end.finish_reason):
            done |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
        return done

    def _open(self, kind: type[AgentEvent]) -> str:
        self._pieces = []
        self._id = _id_for(kind)
        self._place = {"item_id": self._id, "output_index": len(self._items), _NAMES[kind].index: 0}
        empty = _item(kind, self._id, None)
        frames = self._event("response.output_item.added", output_index=len(self._items), item=empty)
        part, delta = f"response.{_NAMES[kind].part}.added", f"response.{_NAMES[kind].text}.delta"
        fields = {"type": delta, **self._place, **_NAMES[kind].more}
        self._head = f'event: {delta}\ndata: {quick_json(fields)[:-1].decode()},"delta":'
        return frames + self._event(part, **self._place, part=_part(kind, ""))

    def _piece(self, text: str) -> str:
        self._pieces.append(text)
        return f'{self._head}{quote(text)},"sequence_number":{next(self._numbers)}}}\n\n'

    def _close(self) -> str:
        assert self._kind is not None
        kind, names, text = self._kind, _NAMES[self._kind], "".join(self._pieces)
        item = _item(kind, self._id, text)
        self._items.append(item)
        return (
            self._event(f"response.{names.text}.done", **self._place, **names.more, text=text)
            + self._event(f"response.{names.part}.done", **self._place, part=_part(kind, text))
            + self._event("response.output_item.done", output_index=self._place["output_index"], item=item)
        )

    def _calls(self, end: ReplyEnd) -> list[dict[str, Any]]:
        """The items of the calls that the app is to make."""
        free = self._brought.free() if end.tool_calls else ()
        return [_custom(call) if call.name in free else _function(call) for call in end.tool_calls]

    def _call(self, item: dict[str, Any]) -> str:
        """The events of a call."""
        place = {"item_id": item["id"], "output_index": len(self._items)}
        field, name = ("input", "custom_tool_call_input") if "input" in item else _ARGUMENTS
        begun = {**item, field: "", "status": "in_progress"}
        self._items.append(item)
        return (
            self._event("response.output_item.added", output_index=place["output_index"], item=begun)
            + self._event(f"response.{name}.delta", **place, delta=item[field])
            + self._event(f"response.{name}.done", **place, name=item["name"], **{field: item[field]})
            + self._event("response.output_item.done", output_index=place["output_index"], item=item)
        )

    def _event(self, event: str, /, **data: Any) -> str:
        return named_event(event, {**data, "sequence_number": next(self._numbers)}, self._write)


def _writer(echo: dict[str, Any]) -> Callable[[Any], bytes]:
    """What writes a response with that in it: the quick encoder, unless it writes the client's fractions otherwise."""
    fractions = [value for value in echo.values() if isinstance(value, float)]
    return quick_json if quick_json(fractions) == to_json(fractions) else to_json


_ARGUMENTS = ("arguments", "function_call_arguments")


def _function(call: ToolCall) -> dict[str, Any]:
    """The item of a call with an object as its arguments."""
    fields = {"call_id": call.id, "name": call.name, "arguments": arguments_text(call.arguments)}
    return {"id": new_id("fc_"), "type": "function_call", "status": "completed", **fields}


def _custom(call: ToolCall) -> dict[str, Any]:
    """The item of a call with a text instead."""
    text = arguments_object(call.arguments).get("input", "")
    fields = {"call_id": call.id, "name": call.name, "input": text if isinstance(text, str) else ""}
    return {"id": new_id("ctc_"), "type": "custom_tool_call", "status": "completed", **fields}


class _Names(Struct, frozen=True):
    """What the events of an item are called, what counts its parts, and what else its text events hold."""

    text: str
    part: str
    index: str
    more: dict[str, Any]


_NAMES: dict[type[AgentEvent], _Names] = {
    Text: _Names("output_text", "content_part", "content_index", {"logprobs": []}),
    Reasoning: _Names("reasoning_summary_text", "reasoning_summary_part", "summary_index", {}),
}


def _item(kind: type[AgentEvent], item_id: str, text: str | None) -> dict[str, Any]:
    """An item of the output; `text` None is one that has just been opened."""
    parts = [] if text is None else [_part(kind, text)]
    status = "in_progress" if text is None else "completed"
    if kind is Reasoning:
        return {"id": item_id, "type": "reasoning", "status": status, "summary": parts}
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": parts}


def _part(kind: type[AgentEvent], text: str) -> dict[str, Any]:
    if kind is Reasoning:
        return {"type": "summary_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _id_for(kind: type[AgentEvent]) -> str:
    return new_id("rs_" if kind is Reasoning else "msg_")


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
