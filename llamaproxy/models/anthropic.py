"""The `ANTHROPIC` type: the Messages API, streamed as Server-Sent Events.

Sources of the format: https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming and
.../build-with-claude/adaptive-thinking.
"""

from collections.abc import Coroutine
from typing import Any, Literal

from msgspec import Struct

from ..config.schema import ModelEntry
from ..seams.errors import ContextTooLong, ModelError
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelDelta, ModelRequest, ModelResult, Reasoning, Text, Usage
from .anthropic_prompt import Thoughts, conversation
from .calls import CallCollector
from .fields import lower_limit
from .upstream.refusals import error_of, message_of
from .upstream.sse import EventSplitter
from .upstream.upstream import Upstream
from .upstream.wire import decoder, encode

API_VERSION = "2023-06-01"
# The API wants a limit with every request; this one is within what all current models can do.
MAX_TOKENS = 8192
# Of `max_tokens`, what older models may think at most; the API's own minimum is the second.
THINKING_SHARE, MIN_THINKING = 0.5, 1024

_FINISH: dict[str, Literal["stop", "length", "tool_calls", "content_filter"]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Usage(Struct):
    """Of the prompt, what came from the cache or went into it is counted apart from the rest."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(Struct, frozen=True):
    usage: _Usage | None = None


class _Block(Struct, frozen=True):
    type: str = ""
    id: str = ""
    name: str = ""
    data: str = ""


class _Delta(Struct, frozen=True):
    """Of a block, or (with `stop_reason`) of the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Event(Struct):
    type: str
    index: int = 0
    message: _Message = _Message()
    content_block: _Block = _Block()
    delta: _Delta = _Delta()
    usage: _Usage | None = None
    error: Any = None


_decode = decoder(_Event)


class EventDecoder:
    """The `streaming.Decoder` of this format. `thoughts` keeps what the API wants back with its tool calls."""

    def __init__(self, who: str, thoughts: Thoughts) -> None:
        self.finished = False
        self._who = who
        self._thoughts = thoughts
        self._events = EventSplitter()
        self._calls = CallCollector()
        self._blocks: dict[int, dict[str, Any]] = {}
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._usage = _Usage()

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        for data in self._events.received(segment):
            event = _decode(data)
            match event.type:
                case "content_block_delta":
                    self._take(event.index, event.delta, deltas)
                case "content_block_start":
                    self._open(event.index, event.content_block, deltas)
                case "message_start":
                    self._count(event.message.usage)
                case "message_delta":
                    self._stop_reason = event.delta.stop_reason or self._stop_reason
                    self._stop_sequence = event.delta.stop_sequence
                    self._count(event.usage)
                case "message_stop":
                    self._finish()
                    return
                case "error":
                    raise error_of(self._who, event.error, message_of(event.error) or "no explanation")

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`."""
        if not self.finished:
            return None
        usage = self._usage
        prompt = (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens)
        return ModelResult(
            finish_reason=_FINISH.get(self._stop_reason or "", "stop"),
            usage=Usage(sum(count or 0 for count in prompt), usage.output_tokens or 0),
            tool_calls=self._calls.finished(),
            stop_sequence=self._stop_sequence,
        )

    def _open(self, index: int, block: _Block, deltas: list[ModelDelta]) -> None:
        match block.type:
            case "tool_use":
                deltas.append(self._calls.add(index, block.id, block.name, ""))
            case "thinking":
                self._thinking(index)
            case "redacted_thinking":
                self._blocks[index] = {"type": "redacted_thinking", "data": block.data}

    def _take(self, index: int, delta: _Delta, deltas: list[ModelDelta]) -> None:
        match delta.type:
            case "text_delta":
                if delta.text:
                    deltas.append(Text(delta.text))
            case "thinking_delta":
                if delta.thinking:
                    deltas.append(Reasoning(delta.thinking))
                    self._thinking(index)["thinking"] += delta.thinking
            case "signature_delta":
                self._thinking(index)["signature"] += delta.signature
            case "input_json_delta":
                deltas.append(self._calls.add(index, "", "", delta.partial_json))

    def _thinking(self, index: int) -> dict[str, Any]:
        return self._blocks.setdefault(index, {"type": "thinking", "thinking": "", "signature": ""})

    def _count(self, usage: _Usage | None) -> None:
        """Takes over the counts that came; they are totals so far, not increments."""
        for name in _Usage.__struct_fields__ if usage else ():
            if (count := getattr(usage, name)) is not None:
                setattr(self._usage, name, count)

    def _finish(self) -> None:
        self.finished = True
        if calls := self._calls.finished():
            self._thoughts.keep(calls, list(self._blocks.values()))


class AnthropicChat:
    """Asks for completions in this format.

    `Options.think` becomes adaptive thinking, an effort with it `output_config.effort`; for a model that is too old
    for that, a budget. A JSON schema becomes the API's structured output; any JSON (`{}`) is left to the prompt, as
    the API has no word for it.
    """

    def __init__(self, entry: ModelEntry, upstream: Upstream) -> None:
        self._entry = entry
        self._upstream = upstream
        self._thoughts = Thoughts()
        # Set for good by the first refusal of adaptive thinking.
        self._by_budget = False

    async def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> ModelResult:
        """One completion, as `IModel.chat` has it."""
        try:
            return await self._post(request, receiver)
        except ContextTooLong:
            raise
        except ModelError as error:
            if self._by_budget or not request.options.think or "adaptive" not in str(error):
                raise
            self._by_budget = True
        return await self._post(request, receiver)

    def _post(self, request: ModelRequest, receiver: IDeltaReceiver) -> Coroutine[Any, Any, ModelResult]:
        upstream, thoughts = self._upstream, self._thoughts
        path = "/messages" if self._entry.host.rstrip("/").endswith("/v1") else "/v1/messages"
        return upstream.ask(
            request,
            path,
            lambda: encode(self._body(request)),
            lambda: EventDecoder(upstream.who, thoughts),
            receiver,
        )

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        entry, options = self._entry, request.options
        system, messages = conversation(request.messages, self._thoughts)
        body: dict[str, Any] = {
            "model": entry.model_id,
            "messages": messages,
            "stream": True,
            "max_tokens": lower_limit(options.max_tokens, entry.max_tokens) or MAX_TOKENS,
        }
        fields = {
            "system": system or None,
            "temperature": entry.temperature,
            "top_p": entry.top_p,
            "top_k": entry.top_k,
            "stop_sequences": options.stop or None,
            **_tools(request),
        }
        body |= {name: value for name, value in fields.items() if value is not None} | entry.extra
        if options.json_schema:
            output = {"format": {"type": "json_schema", "schema": options.json_schema}}
            body["output_config"] = {**body.get("output_config", {}), **output}
        self._think(body, options.think)
        return body

    def _think(self, body: dict[str, Any], wish: bool | str | None) -> None:
        """Makes `body` ask for the thinking that the client wishes, or else that the entry's `extra` has."""
        if wish is False:
            body.pop("thinking", None)
        elif wish:
            body.setdefault("thinking", self._thinking(body["max_tokens"]))
            if isinstance(wish, str) and not self._by_budget:
                body["output_config"] = {**body.get("output_config", {}), "effort": wish}
        if body.get("thinking", {}).get("type", "disabled") != "disabled":
            # The API does not take these together with thinking.
            for name in ("temperature", "top_p", "top_k"):
                body.pop(name, None)
            if not self._thoughts.all_known(body["messages"]):
                del body["thinking"]

    def _thinking(self, max_tokens: int) -> dict[str, Any]:
        if self._by_budget:
            budget = max(MIN_THINKING, int(max_tokens * THINKING_SHARE))
            return {"type": "enabled", "budget_tokens": budget}
        return {"type": "adaptive", "display": "summarized"}


def anthropic_headers(key: str) -> dict[str, str]:
    """How this API wants to see a key, and the version of it that is spoken here."""
    return {"anthropic-version": API_VERSION, **({"x-api-key": key} if key else {})}


def _tools(request: ModelRequest) -> dict[str, Any]:
    """The tools on offer, or stand-ins that may not be called for those in the history: it cannot be without."""
    if request.tools:
        return {"tools": [_tool(tool) for tool in request.tools]}
    called = {call.name: None for message in request.messages for call in message.tool_calls}
    if not called:
        return {}
    stand_ins = [{"name": name, "input_schema": {"type": "object"}} for name in called]
    return {"tools": stand_ins, "tool_choice": {"type": "none"}}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": tool["name"],
        "description": tool["description"],
        "input_schema": tool["parameters"],
    }
