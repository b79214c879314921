"""One turn's share of the history while it grows: the user's message, rounds of tool calls, the answer."""

from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from ...seams.arguments import read_arguments
from ...seams.types import Given, Image, Message, Options, Spot, ToolCall

INTERRUPTED = "[interrupted before it had a result]"


class Exchange(Struct, kw_only=True):
    """What a turn adds to the history, and what the loop needs to go on with it.

    `messages` begins with the user's, before which there are `begins` in the branch. The store has the first `stored`
    of them already, and had the first `taken` when the turn began; the others go `after` that spot, or to the end of
    the session's branch. `calls` are those of the round under way, with which `messages` end then, `results` and
    `pictures` what came of them (by call id). The app itself has to run those in `app`; `told` is where in its history
    the turn stands, and what it was sent of it there. `extra` is that of the model's newest answer (see `Message`).
    `last` says that the model is to answer without tools now. `depth` counts the delegations above the turn. All of it
    can be stored, so that a turn can be taken up again.
    """

    key: str
    messages: list[Message]
    begins: int = 0
    after: Spot | None = None
    stored: int = 0
    taken: int = 0
    options: Options = Options()
    depth: int = 0
    rounds: int = 0
    last: bool = False
    extra: dict[str, dict[str, Any]] = {}
    calls: tuple[ToolCall, ...] = ()
    results: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, tuple[Image, ...]] = field(default_factory=dict)
    app: tuple[str, ...] = ()
    told: tuple[str, str] = ("", "")
    # The calls of the round before, as (name, arguments).
    before: frozenset[tuple[str, str]] = frozenset()
    # Tools whose arguments were wrong once in this turn.
    corrected: frozenset[str] = frozenset()

    def begin(self, said: str, calls: tuple[ToolCall, ...]) -> bool:
        """Begins a round; whether every one of its calls was already made in the round before."""
        self.rounds += 1
        self.calls, self.results, self.pictures, self.app = calls, {}, {}, ()
        self.messages.append(Message(role="assistant", content=said, tool_calls=calls, extra=self.extra))
        before, self.before = self.before, frozenset((call.name, call.arguments.strip()) for call in calls)
        return self.before <= before

    def pending(self) -> list[ToolCall]:
        """The calls of the round that have no result yet, without those that the app has to run."""
        return [call for call in self.calls if call.id not in self.results and call.id not in self.app]

    def handed_over(self) -> list[ToolCall]:
        """The calls that the app has to run, and that have no result yet."""
        return [call for call in self.calls if call.id not in self.results and call.id in self.app]

    def knows(self, call_id: str) -> bool:
        """Whether the turn has had a call of that id."""
        return any(call.id == call_id for message in self.messages for call in message.tool_calls)

    def settle_cut(self, result: str) -> set[str]:
        """Gives this result to every call that cannot be whole if the answer was cut off; the names of their tools."""
        cut = [call for call in self.calls if not _is_whole(call, call is self.calls[-1])]
        self.results.update((call.id, result) for call in cut)
        if cut:
            self.messages[-1] = replace(self.messages[-1], interrupted=True)
        return {call.name for call in cut}

    def settle(self, result: str) -> None:
        """Gives every pending call this result."""
        self.results.update((call.id, result) for call in self.pending())

    def settle_app(self, result: str) -> None:
        """Gives every call that the app has not run this result."""
        self.results.update((call.id, result) for call in self.handed_over())

    def close(self) -> None:
        """Ends the round under way; a call without a result counts as interrupted."""
        if not self.calls:
            return
        self.messages += [
            Message(
                role="tool",
                content=self.results.get(call.id, INTERRUPTED),
                images=self.pictures.get(call.id, ()),
                tool_call_id=call.id,
            )
            for call in self.calls
        ]
        self.calls, self.app, self.results, self.pictures, self.extra = (), (), {}, {}, {}

    def conclude(self, answer: str, interrupted: bool = False, given: Given | None = None) -> list[Message]:
        """What the store has not yet of the turn, closed by the answer; empty if it has neither that nor a round."""
        self.close()
        if not answer and len(self.messages) <= max(1, self.taken):
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
