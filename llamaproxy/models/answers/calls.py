"""Tool calls: put together from pieces."""

from secrets import token_hex

from ...seams.surrogates import joined
from ...seams.types import ToolCall, ToolCallDelta


class CallCollector:
    """Numbers the pieces of a model's tool calls from 0 and puts them together.

    OpenAI's `index` says which call a piece belongs to. Not every server sends it, and some send 0 for each
    of several parallel calls; so a new id starts a new call whatever the index.
    """

    def __init__(self) -> None:
        self._calls: list[tuple[str, str, list[str]]] = []
        # The server's index -> the place in `_calls`.
        self._places: dict[int, int] = {}

    def add(self, index: int | None, call_id: str, name: str, arguments: str) -> ToolCallDelta:
        """Takes a piece, which starts a call or goes on with one."""
        place = len(self._calls) - 1 if index is None else self._places.get(index, -1)
        if place < 0 or (call_id and call_id != self._calls[place][0]):
            delta = self.add_whole(call_id, name, arguments)
            if index is not None:
                self._places[index] = delta.index
            return delta
        self._calls[place][2].append(arguments)
        return ToolCallDelta(place, call_id, name, arguments)

    def add_whole(self, call_id: str, name: str, arguments: str) -> ToolCallDelta:
        """Starts a call; makes an id for it if it has none."""
        call_id = call_id or f"call_{token_hex(8)}"
        self._calls.append((call_id, name, [arguments]))
        return ToolCallDelta(len(self._calls) - 1, call_id, name, arguments)

    def finished(self) -> tuple[ToolCall, ...]:
        """The calls in the order in which they began."""
        return tuple(
            ToolCall(id=call_id, name=name, arguments=joined("".join(pieces)) or "{}")
            for call_id, name, pieces in self._calls
        )
