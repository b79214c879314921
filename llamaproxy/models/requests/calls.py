"""The tool calls of a conversation as any server takes them: names, ids and results that belong together.

What one vendor's model wrote another refuses, and refuses for good, since it stands in the history: a dot in a name, an
id of 50 characters or one that came twice, a call without its result.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import count

from msgspec.structs import replace

from ...seams.types import Message, ToolCall

LONGEST_NAME = 64
LONGEST_ID = 40
# Mistral's, and of those of its models that others serve.
SHORT_ID = 9

NO_NAME = "unnamed"
NO_RESULT = "[this call was interrupted before it had a result]"

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
_SHORT = re.compile(r"[A-Za-z0-9]{9}", re.ASCII)
_COMMON = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)


def valid_name(name: str) -> str:
    """The name of a tool as every server takes it; begins with no digit and no dash, which Gemini refuses."""
    valid = _NOT_IN_NAMES.sub("_", name) or NO_NAME
    if not (valid[0].isalpha() or valid[0] == "_"):
        valid = f"_{valid}"
    if len(valid) > LONGEST_NAME:
        valid = f"{valid[: LONGEST_NAME - 9]}_{_digest(name)[:8]}"
    return valid


def common_id(call_id: str, attempt: int) -> str:
    """An id as OpenAI and Anthropic take it: as it is, if that is possible at the first attempt."""
    if not attempt and _COMMON.fullmatch(call_id):
        return call_id
    return f"call_{_digest(f'{call_id} {attempt}')[:16]}"


def short_id(call_id: str, attempt: int) -> str:
    """An id as Mistral takes it."""
    if not attempt and _SHORT.fullmatch(call_id):
        return call_id
    return _digest(f"{call_id} {attempt}")[:SHORT_ID]


def paired(messages: Sequence[Message], make_id: Callable[[str, int], str] = common_id) -> list[Message]:
    """The messages with every round of calls followed by its results, one for each, in the order of the calls.

    Ids are made with `make_id` and unique in the whole; names are valid. A result without a call gets one; a call
    without a result gets `NO_RESULT`, unless the conversation ends with it.
    """
    if not [message for message in messages if message.tool_calls or message.role == "tool"]:
        return list(messages)
    ids = _Ids(make_id)
    made: list[Message] = []
    rounds = list(_rounds(messages))
    for place, (message, results) in enumerate(rounds, 1):
        if message.role == "tool":
            orphan = ToolCall(id=message.tool_call_id or "", name="", arguments="{}")
            message, results = Message(role="assistant", content="", tool_calls=(orphan,)), [message]
        calls = [
            replace(call, id=ids.new(call.id), name=valid_name(call.name)) for call in message.tool_calls
        ]
        made.append(replace(message, tool_calls=tuple(calls)) if calls else message)
        if place == len(rounds) and not any(results):
            break
        for call, result in zip(calls, results, strict=True):
            found = result or Message(role="tool", content=NO_RESULT)
            made.append(replace(found, tool_call_id=call.id))
    return made


def _rounds(messages: Sequence[Message]) -> Iterator[tuple[Message, list[Message | None]]]:
    """Each message with the results of its calls, wherever they stand; a result that belongs to none by itself."""
    found: list[tuple[Message, list[Message | None]]] = []
    # The places of calls that wait for their results, by id. Of two with one id the first is answered first.
    waiting: dict[str, list[tuple[list[Message | None], int]]] = {}
    for message in messages:
        if message.role == "tool" and (places := waiting.get(message.tool_call_id or "")):
            results, place = places.pop(0)
            results[place] = message
            continue
        mine: list[Message | None] = [None] * len(message.tool_calls)
        # A round that begins ends the wait for those of an earlier one with its ids.
        waiting.update((call.id, []) for call in message.tool_calls)
        for place, call in enumerate(message.tool_calls):
            waiting[call.id].append((mine, place))
        found.append((message, mine))
    yield from found


class _Ids:
    """Gives ids that differ, made from those that the calls have."""

    def __init__(self, make_id: Callable[[str, int], str]) -> None:
        self._make = make_id
        self._used: set[str] = set()
        # How often each id was tried.
        self._attempts: dict[str, int] = {}

    def new(self, call_id: str) -> str:
        for attempt in count(self._attempts.get(call_id, 0)):
            made = self._make(call_id, attempt)
            if made not in self._used:
                self._used.add(made)
                self._attempts[call_id] = attempt + 1
                return made
        raise AssertionError("there is always one more attempt")


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
