"""One turn's share of the history while it grows: the user's message, rounds of tool calls, the answer."""

from typing import Any

from msgspec import Struct, field

from ...seams.arguments import read_arguments
from ...seams.types import Given, Image, Message, Options, Spot, ToolCall

INTERRUPTED = "[interrupted before it had a result]"


class Exchange(Struct, kw_only=True):
    """What a turn adds to the history, and what the loop needs to go on with it.

    `messages` begins with the user's and holds complete rounds only; the store has the first `stored` of them
    already. The others go `after` that spot, or to the end of the session's branch. `calls`, `results` and
    `pictures` (by call id) are the round under way, `said` the model's words before its calls. `extra` is that of
    the model's newest answer (see `Message`). `last` says that the model is to answer without tools now. `depth`
    counts the delegations above the turn. All of it can be stored, so that a turn can be taken up again.
    """

    key: str
    messages: list[Message]
    after: Spot | None = None
    stored: int = 0
    options: Options = Options()
    depth: int = 0
    rounds: int = 0
    last: bool = False
    said: str = ""
    extra: dict[str, dict[str, Any]] = {}
    calls: tuple[ToolCall, ...] = ()
    results: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, tuple[Image, ...]] = field(default_factory=dict)
    # Whether the answer with the calls was cut off in one of them.
    cut: bool = False
    # The calls of the round before, as (name, arguments).
    before: set[tuple[str, str]] = field(default_factory=set)
    # Tools whose arguments were wrong once in this turn.
    corrected: set[str] = field(default_factory=set)

    def begin(self, said: str, calls: tuple[ToolCall, ...]) -> bool:
        """Begins a round; whether every one of its calls was already made in the round before."""
        self.rounds += 1
        self.said, self.calls, self.results, self.pictures = said, calls, {}, {}
        before, self.before = self.before, {(call.name, call.arguments.strip()) for call in calls}
        return self.before <= before

    def pending(self) -> list[ToolCall]:
        """The calls of the round that have no result yet."""
        return [call for call in self.calls if call.id not in self.results]

    def settle_cut(self, result: str) -> set[str]:
        """Gives this result to every call that cannot be whole if the answer was cut off; the names of their tools."""
        cut = [call for call in self.calls if not _is_whole(call, call is self.calls[-1])]
        self.results.update((call.id, result) for call in cut)
        self.cut = bool(cut)
        return {call.name for call in cut}

    def settle(self, result: str) -> None:
        """Gives every pending call this result."""
        self.results.update((call.id, result) for call in self.pending())

    def close(self) -> None:
        """Makes the round under way part of the messages; a call without a result counts as interrupted."""
        if not self.calls:
            return
        self.messages.append(
            Message(
                role="assistant",
                content=self.said,
                tool_calls=self.calls,
                extra=self.extra,
                interrupted=self.cut,
            )
        )
        self.messages += [
            Message(
                role="tool",
                content=self.results.get(call.id, INTERRUPTED),
                images=self.pictures.get(call.id, ()),
                tool_call_id=call.id,
            )
            for call in self.calls
        ]
        self.said, self.calls, self.results, self.pictures = "", (), {}, {}
        self.extra, self.cut = {}, False

    def conclude(self, answer: str, interrupted: bool = False, given: Given | None = None) -> list[Message]:
        """What the store has not yet of the turn, closed by the answer; empty if it has neither that nor a round."""
        self.close()
        if not answer and len(self.messages) <= max(1, self.stored):
            return []
        last = Message(
            role="assistant",
            content=answer or "[no answer]",
            interrupted=interrupted or not answer,
            given=given,
            # Servers want back what belongs to a turn with tools, and no other.
            extra=self.extra if len(self.messages) > 1 else {},
        )
        return [*self.messages[self.stored :], last]


def _is_whole(call: ToolCall, is_last: bool) -> bool:
    """Whether the arguments can have been written to their end; none at all may be none yet."""
    try:
        return bool(read_arguments(call.arguments)) or not is_last
    except ValueError:
        return False
