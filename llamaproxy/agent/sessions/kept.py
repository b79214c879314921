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


class Kept(Struct):
    """The messages from `begins` on, counted in the branch, with their `turns`, and their `weight` in bytes."""

    begins: int = 0
    messages: list[Message] = []
    turns: list[Told] = []
    weight: int = 0

    @classmethod
    def of(cls, messages: Sequence[Message], begins: int = 0) -> "Kept":
        """Works out what is known of messages that come from elsewhere."""
        known = without_old_images(list(messages))
        return cls(begins, known, _turns_of(known, begins), _weigh(known))

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
        if over > len(self.messages) or [message for message in messages if message.images]:
            return Kept.of(together[over:], begins)
        weight, sure = self.weight + _weigh(messages), self.turns[:-1]
        if over:
            weight -= _weigh(self.messages[:over])
            sure = [turn for turn in sure if turn.start >= begins]
        # The last turn may go on in what is new.
        last = max(begins, self.turns[-1].start) if self.turns else begins
        return Kept(begins, together[over:], sure + _turns_of(together[last - self.begins :], last), weight)


def _turns_of(messages: Sequence[Message], begins: int) -> list[Told]:
    """The turns in messages that stand from there on in the branch."""
    starts = [index for index, message in enumerate(messages) if message.role == "user"]
    ends = [*starts[1:], len(messages)]
    return [_told(messages, start, end, begins) for start, end in zip(starts, ends, strict=False)]


def _told(messages: Sequence[Message], start: int, end: int, begins: int) -> Told:
    last, mark = messages[end - 1], messages[start].mark or _NOWHERE
    # Before it was written down what the app got, it was the answer's text.
    given = last.given or Given(place=mark.after, opening=opening_of(last.content) if mark.after else "")
    return Told(begins + start, begins + end, mark, given, last.interrupted or is_of_a_round(last))


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
