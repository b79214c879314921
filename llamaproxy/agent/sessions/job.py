"""A turn that outlives its connection."""

from msgspec import Struct

from ...seams.types import Caller, ChatTurn

# Characters of its message by which a job is known.
WORDS = 60


class Job(Struct, frozen=True, kw_only=True):
    """A turn of `caller` that was `asked` for, when the session had so many messages `before` it.

    `answer` is what came of it, None while it is under way, which is the business of the process whose number is `by`.
    """

    number: int
    caller: Caller
    asked: ChatTurn
    before: int
    by: int = 0
    answer: str | None = None

    @property
    def words(self) -> str:
        """The beginning of its message, on one line."""
        line = " ".join(self.asked.text[: 4 * WORDS].split())
        return line if len(line) <= WORDS else f"{line[:WORDS]}..."

    def is_of(self, asked: ChatTurn) -> bool:
        """Whether `asked` is its message once more."""
        return asked.text == self.asked.text and asked.trail[-1:] == self.asked.trail[-1:]
