"""What is in memory of a conversation: the newest messages of its branch, the turns that they are, what they weigh.

Each message of a user asks about all of that, and adds two messages to some hundred; so what is known of the others is
carried on, and not worked out again.
"""

from collections.abc import Sequence

from msgspec import Struct

from ...seams.openings import opening_of
from ...seams.types import Given, Mark, Message
from .history import without_old_images

# What a message takes in memory beside its text.
OVERHEAD = 500
# The mark of a message whose app showed no history.
_NOWHERE = Mark(before="", after="")


class Told(Struct, frozen=True):
    """A turn in a branch: from the message at `start` up to the one before `end`."""

    start: int
    end: int
    mark: Mark
    given: Given
    interrupted: bool


class Kept:
    """The messages from `begins` on, counted in the branch, with their `turns`, and their `weight` in bytes."""

    __slots__ = ("begins", "messages", "turns", "weight")

    def __init__(self, messages: Sequence[Message] = (), begins: int = 0) -> None:
        self.begins = begins
        self.messages = without_old_images(list(messages))
        self.weight = _weigh(self.messages)
        self.turns = self._turns_from(begins)

    @property
    def end(self) -> int:
        """How many messages the branch has up to the end of these."""
        return self.begins + len(self.messages)

    def until(self, end: int) -> list[Message]:
        """Those that are among the first `end` of the branch."""
        return self.messages[: max(0, end - self.begins)]

    def since(self, start: int) -> list[Message]:
        """Those behind the first `start` of the branch."""
        return self.messages[max(0, start - self.begins) :]

    def with_more(self, messages: Sequence[Message], most: int) -> "Kept":
        """These and `messages` behind them, the newest `most` of all; 0 is no limit."""
        together = [*self.messages, *messages]
        over = max(0, len(together) - most) if most else 0
        begins = self.begins + over
        if over > len(self.messages) or any(message.images for message in messages):
            return Kept(together[over:], begins)
        more = Kept(begins=begins)
        more.messages = together[over:]
        more.weight = self.weight + _weigh(messages) - _weigh(self.messages[:over])
        # The last turn may go on in what is new.
        sure, last = self.turns[:-1], self.turns[-1:]
        gone = next((index for index, turn in enumerate(sure) if turn.start >= begins), len(sure))
        more.turns = sure[gone:] + more._turns_from(last[0].start if last else begins)
        return more

    def _turns_from(self, start: int) -> list[Told]:
        """The turns that begin in the messages from there on."""
        first = max(0, start - self.begins)
        starts = [index for index in range(first, len(self.messages)) if self.messages[index].role == "user"]
        ends = [*starts[1:], len(self.messages)]
        return [self._told(start, end) for start, end in zip(starts, ends, strict=False)]

    def _told(self, start: int, end: int) -> Told:
        last, mark = self.messages[end - 1], self.messages[start].mark or _NOWHERE
        # Before it was written down what the app got, it was the answer's text.
        given = last.given or Given(place=mark.after, opening=opening_of(last.content) if mark.after else "")
        interrupted = last.interrupted or is_of_a_round(last)
        return Told(self.begins + start, self.begins + end, mark, given, interrupted)


def is_of_a_round(message: Message) -> bool:
    """Whether it is a call of tools, or what came of one."""
    return message.role == "tool" or bool(message.tool_calls)


def _weigh(messages: Sequence[Message]) -> int:
    """About what they take in memory; pictures count with theirs."""
    weight = OVERHEAD * len(messages)
    for message in messages:
        weight += len(message.content)
        for image in message.images:
            weight += len(image.data)
    return weight


# Of a conversation that has not begun. Nothing is ever added to what is kept but in a copy.
NOTHING = Kept()
