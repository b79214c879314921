"""The fields of a request that formats have in common, and those that not every server knows."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..agent.errors import ContextTooLong, ModelError
from ..agent.types import ModelResult


def lower_limit(asked: int | None, own: int | None) -> int | None:
    """How long an answer may be, in tokens: what the client asks for, under what the model's entry says."""
    return min(asked, own) if asked and own else asked or own


class OptionalFields:
    """Remembers which fields one server refuses, and leaves them out for good.

    `signs` says by which words in the server's error each field is to blame.
    """

    def __init__(self, signs: Mapping[str, str]) -> None:
        self._signs = signs
        self._refused: set[str] = set()

    async def ask(
        self, post: Callable[[dict[str, Any]], Awaitable[ModelResult]], body: dict[str, Any]
    ) -> ModelResult:
        """Posts `body`, again as long as the server refuses one more of the fields in it."""
        while True:
            sent = {name: value for name, value in body.items() if name not in self._refused}
            try:
                return await post(sent)
            except ContextTooLong:
                raise
            except ModelError as error:
                words = str(error)
                blamed = {name for name, sign in self._signs.items() if name in sent and sign in words}
                if not blamed:
                    raise
                self._refused |= blamed
