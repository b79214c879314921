"""Recognises tool calls that a model writes into its answer, as many local models do.

Three forms are known: `<tool_call>...</tool_call>` anywhere in the text, a fenced block of JSON, and JSON as the
whole answer. Inside stands `{"name": ..., "arguments": {...}}`, one or several, or, between tags, Qwen's
`<function=NAME><parameter=KEY>VALUE</parameter></function>`. Text is held back only while it can still become such
a call; what turns out to be none is passed on whole.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from json import JSONDecoder
from secrets import token_hex
from typing import Any, Protocol

from msgspec import json
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ...seams.interfaces import IDeltaReceiver
from ...seams.types import ModelDelta, Text, ToolCall

# No call is longer; what was held back is passed on at this many characters.
HOLD_LIMIT = 64 * 1024

_LANGUAGES = ("json", "tool_call", "tool_code", "tool")
_FENCE = re.compile(r"```([a-z_]*)\s*", re.IGNORECASE)
# The first key of JSON that may be a call: an object, or a list of them.
_KEYS = ("name", "arguments", "parameters", "function", "tool", "type", "id")
_FIRST_KEY = re.compile(r'\s*(?:\[\s*)?(?:\{\s*(?:"([^"]*)(")?)?)?')
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|$)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_json = JSONDecoder(strict=False)


class _Form(Protocol):
    """One way to write a call; `held` is text that begins with the form's opener."""

    opener: str

    def end(self, held: str) -> int:
        """Where the block ends, -1 if it has not yet."""

    def hopeful(self, held: str) -> bool:
        """Whether a block without an end yet can still become a call."""

    def calls(self, held: str, names: Collection[str]) -> list[ToolCall]:
        """The calls in the block; none if it holds anything else."""


class _Tagged:
    opener, closer = "<tool_call>", "</tool_call>"

    def end(self, held: str) -> int:
        place = held.find(self.closer)
        return place if place < 0 else place + len(self.closer)

    def hopeful(self, held: str) -> bool:
        return True

    def calls(self, held: str, names: Collection[str]) -> list[ToolCall]:
        # Nothing else is written like this, so that a name that nobody knows is worth an error to the model.
        body = held.removeprefix(self.opener).removesuffix(self.closer)
        functions = [
            _call(name, dict(_PARAMETER.findall(inner)) or inner) for name, inner in _FUNCTION.findall(body)
        ]
        return functions or _calls_in(body)


class _Fenced:
    opener = "```"

    def end(self, held: str) -> int:
        place = held.find(self.opener, len(self.opener))
        return place if place < 0 else place + len(self.opener)

    def hopeful(self, held: str) -> bool:
        head = _FENCE.match(held)
        if head is None:
            return False
        language = head[1].lower()
        if head.end() == len(held):
            return any(known.startswith(language) for known in _LANGUAGES)
        return language in ("", *_LANGUAGES) and _may_be_json_call(held[head.end() :])

    def calls(self, held: str, names: Collection[str]) -> list[ToolCall]:
        return _known(_calls_in(_FENCE.sub("", held.removesuffix(self.opener), count=1)), names)


class _Bare:
    opener = ""

    def end(self, held: str) -> int:
        return -1

    def hopeful(self, held: str) -> bool:
        return _may_be_json_call(held)

    def calls(self, held: str, names: Collection[str]) -> list[ToolCall]:
        return _known(_calls_in(held), names)


_BARE = _Bare()
_BLOCKS: tuple[_Form, ...] = (_Tagged(), _Fenced())


@implementer(IDeltaReceiver)
class TextCalls:
    """Stands between a model and a receiver for one answer; `names` are those of the tools on offer.

    `calls` holds what was found, complete after `finish`.
    """

    def __init__(self, receiver: IDeltaReceiver, names: Collection[str]) -> None:
        self.calls: list[ToolCall] = []
        self._receiver = receiver
        self._names = names
        self._held = ""
        # What `_held` begins with, once it begins with something that may be a call.
        self._form: _Form | None = None
        # Nothing but white space has come so far.
        self._fresh = True

    def registerProducer(self, producer: IPushProducer) -> None:
        """Passed on."""
        self._receiver.registerProducer(producer)

    def unregisterProducer(self) -> None:
        """Passed on."""
        self._receiver.unregisterProducer()

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        """Passes on what cannot be part of a call; most segments go through as they are."""
        if not (self._held or self._fresh or any(map(_is_suspect, deltas))):
            self._receiver.deltasReceived(deltas)
            return
        passed: list[ModelDelta] = []
        for delta in deltas:
            if type(delta) is not Text:
                passed.append(delta)
            elif text := self._take(delta.text):
                passed.append(Text(text))
        if passed:
            self._receiver.deltasReceived(passed)

    def finish(self) -> None:
        """The answer is over: what is still held back is a call, perhaps without its end, or text after all."""
        form, held = self._form, self._held
        self._form, self._held = None, ""
        if form is not None and self._found(form, held):
            return
        if held:
            self._receiver.deltasReceived([Text(held)])

    def _take(self, piece: str) -> str:
        """Adds a piece to what is held; gives what may be passed on."""
        self._held += piece
        passed = ""
        while True:
            if self._form is None:
                passed += self._search()
            if self._form is None or (settled := self._judge(self._form)) is None:
                return passed
            passed += settled

    def _search(self) -> str:
        """Looks for something that may be a call, which is then held; gives the text that stands before it."""
        held = self._held
        if self._fresh and (begun := held.lstrip()):
            self._fresh = False
            if begun[0] in "{[":
                self._form = _BARE
                return ""
        found = [(place, form) for form in _BLOCKS if (place := held.find(form.opener)) >= 0]
        if found:
            place, self._form = min(found, key=lambda each: each[0])
        else:
            place = len(held) - max(_overlap(held, form.opener) for form in _BLOCKS)
        self._held = held[place:]
        return held[:place]

    def _judge(self, form: _Form) -> str | None:
        """Decides on what is held: None to wait for more, else the text of it that belongs to no call."""
        held = self._held
        end = form.end(held)
        if end < 0 and len(held) < HOLD_LIMIT and form.hopeful(held):
            return None
        self._form = None
        if end >= 0 and self._found(form, held[:end]):
            self._held = held[end:]
            return ""
        # The opener must not be found again.
        passed = max(1, len(form.opener))
        self._held = held[passed:]
        return held[:passed]

    def _found(self, form: _Form, block: str) -> bool:
        calls = form.calls(block, self._names)
        self.calls += calls
        return bool(calls)


def _is_suspect(delta: ModelDelta) -> bool:
    return type(delta) is Text and ("<" in delta.text or "`" in delta.text)


def _overlap(text: str, opener: str) -> int:
    """How many characters at the end of `text` may be the beginning of `opener`."""
    return next((n for n in range(len(opener) - 1, 0, -1) if text.endswith(opener[:n])), 0)


def _may_be_json_call(text: str) -> bool:
    """Whether JSON that begins like this can be a call, as far as its first key tells."""
    head = _FIRST_KEY.match(text)
    assert head is not None  # every part of it may be missing
    if head[2]:
        return head[1] in _KEYS
    return head.end() == len(text) and any(key.startswith(head[1] or "") for key in _KEYS)


def _calls_in(text: str) -> list[ToolCall]:
    """The calls in a sequence of JSON values; none unless every value is a call."""
    calls: list[ToolCall] = []
    try:
        for value in _values(text):
            for each in value if isinstance(value, list) else [value]:
                calls.append(_as_call(each))
    except (ValueError, RecursionError):
        return []
    return calls


def _values(text: str) -> Iterator[Any]:
    place = 0
    while rest := text[place:].lstrip(" \t\r\n,;"):
        place = len(text) - len(rest)
        value, place = _json.raw_decode(text, place)
        yield value


def _as_call(value: Any) -> ToolCall:
    """Reads `{"name", "arguments"}` under the names that models give these, also inside a `function`."""
    if not isinstance(value, dict):
        raise ValueError
    inner = value.get("function", value)
    if isinstance(inner, str):
        inner = {**value, "name": inner}
    name = inner.get("name", inner.get("tool")) if isinstance(inner, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError
    given = [inner[key] for key in ("arguments", "parameters") if key in inner]
    if not given and set(inner) - {"name", "tool", "function", "type", "id"}:
        raise ValueError  # a record that happens to have a name
    return _call(name, given[0] if given else {})


def _call(name: str, arguments: Any) -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.encode(arguments).decode()
    return ToolCall(id=f"call_{token_hex(8)}", name=name, arguments=text)


def _known(calls: list[ToolCall], names: Collection[str]) -> list[ToolCall]:
    return calls if all(call.name in names for call in calls) else []
