"""A request whose place is known: what the answer's form is decided by, before and beside all routing."""

import re
from secrets import token_hex
from typing import Any, AnyStr

from .outflow import EagerRequest
from .profiles import Visit

# What a request may call itself: what stands in a log line as it is, and names nothing else.
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class PlacedRequest(EagerRequest):
    """A request with the plain path that it means, and its id, both "" until they are known; and who sends it."""

    __slots__ = ("_head", "plain_path", "request_id", "visit")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain_path = self.request_id = ""
        self.visit: Visit | None = None
        # The last value of each header by its name in lower case, once somebody has asked for one.
        self._head: dict[bytes, bytes] | None = None

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """As Twisted has it, for a complete head: some twenty places look into it, and nobody writes there."""
        if isinstance(key, str):
            return super().getHeader(key)
        if self._head is None:
            self._head = {name.lower(): values[-1] for name, values in self.requestHeaders.getAllRawHeaders()}
        return self._head.get(key.lower())

    def forget(self) -> None:
        """See `EagerRequest.forget`."""
        super().forget()
        self._head = None

    def name(self) -> None:
        """Gives it its id: the one it came with, if that is well formed, or a new one. Its answer has it as well."""
        if not self.request_id:
            sent = self.requestHeaders.getRawHeaders(b"x-request-id", ())
            known = len(sent) == 1 and _ID.fullmatch(sent[0])
            self.request_id = sent[0].decode("ascii") if known else f"req_{token_hex(8)}"
        self.setHeader(b"x-request-id", self.request_id.encode("ascii"))
        if self.plain_path.startswith("/v1/messages"):
            # Where Anthropic's clients look for it.
            self.setHeader(b"request-id", self.request_id.encode("ascii"))
