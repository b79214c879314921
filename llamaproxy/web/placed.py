"""A request whose place is known: what the answer's form is decided by, before and beside all routing."""

from typing import Any

from .outflow import EagerRequest


class PlacedRequest(EagerRequest):
    """A request with the plain path that it means, "" until that is known."""

    __slots__ = ("plain_path",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain_path = ""
