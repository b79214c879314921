"""Anthropic's Messages API, as it is asked.

There is no system role and no tool role; the user's and the assistant's turns must alternate, beginning with the
user's; no text may be empty. So neighbours of one role become one turn with several blocks.

Sources of the format: https://platform.claude.com/docs/en/api/messages and .../build-with-claude/adaptive-thinking.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ...config.schema import ModelEntry
from ...seams.arguments import arguments_object
from ...seams.types import Image, Message, ModelRequest, ModelResult, Options
from .conversation import extra_of, prepared
from .efforts import nearest, wished
from .fields import lower_limit
from .lessons import Body, Lessons
from .tools import Offer, Tool
from .vendors import BLOCKS, back_end
from .words import in_words, json_wanted, told

# The API wants a limit with every request; this one is within what all current models can do.
MAX_TOKENS = 8192
# Of `max_tokens`, what older models may think at most; the API's own minimum is the second.
THINKING_SHARE, MIN_THINKING = 0.5, 1024
# Characters of a tool's description; the API asks for long ones.
LONGEST_DESCRIPTION = 8192

BEGINNING = "[the conversation so far is left out]"

# With thinking only these may be left as they are.
_SAMPLING = ("temperature", "top_p", "top_k")

Block = dict[str, Any]
Turn = dict[str, Any]


class MessagesRequests:
    """Makes the bodies for one entry; `who` names the model in the log.

    `Options.think` becomes adaptive thinking, an effort with it `output_config.effort`; for a model that is too old
    for that, a budget. A JSON schema becomes the API's structured output; any JSON (`{}`) is asked for in words, as
    the API has no other.
    """

    def __init__(self, entry: ModelEntry, who: str) -> None:
        self._entry = entry
        self._back_end = back_end(entry)
        self._offer = Offer(who, LONGEST_DESCRIPTION)

    def body(self, request: ModelRequest, lessons: Lessons) -> Body:
        """The body of a request, as the server takes it by all that is known of it."""
        entry, options = self._entry, request.options
        offered = self._offer.of(request.tools, lessons)
        if lessons.tools_in_words:
            request, offered = in_words(request), []
        schema = options.json_schema
        by_field = bool(schema) and "json_schema" in lessons.forms and "output_config" not in lessons.without
        by_field = by_field and not lessons.no_schema
        messages: Sequence[Message] = request.messages
        if schema is not None and not by_field:
            messages = told(messages, json_wanted(schema))
        made = prepared(messages, lessons)
        system, turns = self.conversation(made, lessons)
        most = lower_limit(options.max_tokens, entry.max_tokens) or MAX_TOKENS
        body: Body = {
            "model": entry.model_id,
            "messages": turns,
            "stream": True,
            "max_tokens": max(lessons.least_tokens, min(most, lessons.most_tokens)),
        }
        fields = {
            "system": system or None,
            "temperature": entry.temperature,
            "top_p": entry.top_p,
            "top_k": entry.top_k,
            "stop_sequences": [stop for stop in options.stop if stop.strip()] or None,
            **_tools(offered, made),
        }
        body |= {name: value for name, value in fields.items() if value is not None} | entry.extra
        if by_field:
            output = {"format": {"type": "json_schema", "schema": schema}}
            body["output_config"] = {**(body.get("output_config") or {}), **output}
        self._think(body, options, made, lessons)
        if request.must_call and offered:
            # The API forces no call of a model that thinks.
            body.pop("thinking", None)
            body["tool_choice"] = {"type": "any"}
        return {name: value for name, value in body.items() if name not in lessons.without}

    def read(self, result: ModelResult) -> ModelResult:
        """The result in our own names."""
        return self._offer.named_as_ours(result)

    def conversation(self, messages: Sequence[Message], lessons: Lessons) -> tuple[str, list[Turn]]:
        """The system prompt, and the turns."""
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        turns: list[Turn] = []
        for message in messages:
            blocks = [] if message.role == "system" else list(self._blocks(message, lessons))
            if not blocks:
                continue
            role = "assistant" if message.role == "assistant" else "user"
            if not turns and message.tool_calls:
                # Results may not go without their calls, and no turn of the assistant's may be the first.
                turns.append({"role": "user", "content": [{"type": "text", "text": BEGINNING}]})
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            elif turns or role == "user":
                turns.append({"role": role, "content": blocks})
        return system, turns

    def _blocks(self, message: Message, lessons: Lessons) -> Iterator[Block]:
        if message.role == "tool":
            content: Any = message.content
            if message.images:
                content = [
                    *map(_image, message.images),
                    {"type": "text", "text": message.content or "[a picture]"},
                ]
            yield {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}
            return
        yield from extra_of(message.extra, self._back_end, lessons).get(BLOCKS, ())
        yield from map(_image, message.images)
        # The API refuses an empty text, and an assistant's last text that ends in a blank.
        text = message.content.rstrip() if message.role == "assistant" else message.content
        if text.strip():
            yield {"type": "text", "text": text}
        for call in message.tool_calls:
            yield {
                "type": "tool_use",
                "id": call.id,
                "name": call.name,
                "input": arguments_object(call.arguments),
            }

    def _think(self, body: Body, options: Options, messages: Sequence[Message], lessons: Lessons) -> None:
        """Makes `body` ask for the thinking that the client wishes, or else that the entry's `extra` has."""
        wish = wished(options.think)
        if wish is False:
            body.pop("thinking", None)
        elif wish:
            body.setdefault("thinking", _thinking(body["max_tokens"], lessons))
            if isinstance(wish, str) and not lessons.by_budget:
                effort = wish if lessons.efforts is None else nearest(wish, lessons.efforts)
                if effort is not None:
                    body["output_config"] = {**(body.get("output_config") or {}), "effort": effort}
        thinking = body.get("thinking") or {}
        if thinking.get("type", "disabled") == "disabled":
            return
        if (budget := thinking.get("budget_tokens")) is not None and budget >= body["max_tokens"]:
            body["thinking"] = thinking = {**thinking, "budget_tokens": body["max_tokens"] - 1}
        fits = budget is None or thinking["budget_tokens"] >= MIN_THINKING
        if not fits or "thinking" in lessons.without or not self._all_known(messages, lessons):
            del body["thinking"]
            return
        for name in _SAMPLING:
            body.pop(name, None)

    def _all_known(self, messages: Sequence[Message], lessons: Lessons) -> bool:
        """Whether the turn under way, if it has tool calls, has all the thoughts that belong to them.

        The API insists on that within one turn, and only there; one that began with another model, say, goes on without
        thinking.
        """
        for message in reversed(messages):
            if message.role == "user":
                return True
            if message.tool_calls and BLOCKS not in extra_of(message.extra, self._back_end, lessons):
                return False
        return True


def _thinking(max_tokens: int, lessons: Lessons) -> Body:
    if lessons.by_budget:
        budget = max(MIN_THINKING, int(max_tokens * THINKING_SHARE))
        return {"type": "enabled", "budget_tokens": budget}
    return {"type": "adaptive", "display": "summarized"}


def _tools(offered: Sequence[Tool], messages: Sequence[Message]) -> Body:
    """The tools on offer, or stand-ins that may not be called for those in the history: it cannot be without."""
    if offered:
        return {"tools": [_tool(tool["name"], tool["parameters"], tool["description"]) for tool in offered]}
    called = {call.name: None for message in messages for call in message.tool_calls}
    if not called:
        return {}
    nothing = {"type": "object", "properties": {}}
    return {"tools": [_tool(name, nothing) for name in called], "tool_choice": {"type": "none"}}


def _tool(name: str, schema: Body, description: str = "") -> Tool:
    return {"name": name, **({"description": description} if description else {}), "input_schema": schema}


def _image(image: Image) -> Block:
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": image.data}}
