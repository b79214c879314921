"""The `ANTHROPIC` type: the Messages API, streamed as Server-Sent Events.

Sources of the format: https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming and
.../build-with-claude/adaptive-thinking.
"""

from collections.abc import Coroutine
from typing import Any

from ..config.schema import ModelEntry
from ..seams.errors import ContextTooLong, ModelError
from ..seams.interfaces import IDeltaReceiver
from ..seams.types import ModelRequest, ModelResult
from .answers.anthropic import EventDecoder
from .anthropic_prompt import Thoughts, conversation
from .fields import lower_limit
from .upstream.upstream import Upstream
from .upstream.wire import encode

API_VERSION = "2023-06-01"
# The API wants a limit with every request; this one is within what all current models can do.
MAX_TOKENS = 8192
# Of `max_tokens`, what older models may think at most; the API's own minimum is the second.
THINKING_SHARE, MIN_THINKING = 0.5, 1024


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
