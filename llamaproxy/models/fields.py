"""The fields of a request that formats have in common, and those that not every server knows."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..seams.errors import ContextTooLong, ModelError
from ..seams.types import ModelResult


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

    def known(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body without the fields that the server refuses."""
        return {name: value for name, value in body.items() if name not in self._refused}

    async def ask(self, post: Callable[[], Awaitable[ModelResult]]) -> ModelResult:
        """Has `post` send what is `known`, and again as long as the server refuses one more of the fields."""
        while True:
            refused = set(self._refused)
            try:
                return await post()
            except ContextTooLong:
                raise
            except ModelError as error:
                words = str(error)
                blamed = {name for name, sign in self._signs.items() if name not in refused and sign in words}
                if not blamed:
                    raise
                self._refused |= blamed
