"""Puts characters together that a model's stream has cut in two.

Some servers cut text by UTF-16 units, so that a piece ends with half an emoji (see `surrogates`). The strictest of the
clients' JSON parsers refuse such a half, so it waits here for the other one; alone it becomes U+FFFD.
"""

from collections.abc import Sequence

from ...seams.surrogates import joined
from ...seams.types import AgentEvent, ModelDelta, ToolCallDelta

_REPLACEMENT = "\ufffd"


class Halves:
    """The halves of one reply. `half` is the one that waits, None as good as always."""

    __slots__ = ("half",)

    def __init__(self) -> None:
        self.half: AgentEvent | None = None

    def mend(self, deltas: Sequence[ModelDelta]) -> list[ModelDelta]:
        """The deltas with whole characters only."""
        whole: list[ModelDelta] = []
        for delta in deltas:
            if isinstance(delta, ToolCallDelta):
                whole.append(delta)
                continue
            kind, text = type(delta), delta.text
            if type(self.half) is kind:
                text, self.half = f"{self.half.text}{text}", None
            whole += self.rest()
            if "\ud800" <= text[-1:] <= "\udbff":
                text, self.half = text[:-1], kind(text[-1])
            text = joined(text)
            if text:
                whole.append(delta if text == delta.text else kind(text))
        return whole

    def rest(self) -> list[AgentEvent]:
        """What becomes of a half that waits, as the other one does not come."""
        half, self.half = self.half, None
        return [] if half is None else [type(half)(_REPLACEMENT)]
