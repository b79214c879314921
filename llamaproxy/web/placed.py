"""A request whose place is known: what the answer's form is decided by, before and beside all routing."""

import re
from random import Random
from typing import Any, AnyStr, Protocol, cast

from twisted.web.iweb import IRequest
from twisted.web.server import Request

from .heads import Head
from .outflow import EagerRequest
from .patience import PatientChannel
from .profiles import Visit

# What a request may call itself: what stands in a log line as it is, and names nothing else.
_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
# Ids are no secrets; the kernel need not be asked for each.
_random = Random()


class Answering(Protocol):
    """What is under way for a request."""

    def cancel(self) -> None:
        """The client has left."""


class PlacedChannel(PatientChannel):
    """A connection, and who its last request came from, as far as that is known."""

    __slots__ = ("visit",)

    def __init__(self) -> None:
        super().__init__()
        self.visit: Visit | None = None


class PlacedRequest(EagerRequest):
    """A request with its `head`, None until it is there and when it has been answered, the plain path that it means,
    whether that is one of the server's own pages, and its id.
    """

    __slots__ = ("head", "is_page", "plain_path", "request_id")

    channel: "PlacedChannel"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain_path = self.request_id = ""
        self.is_page = False
        self.head: Head | None = None

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """As Twisted has it, for a complete head."""
        if self.head is None or isinstance(key, str):
            return super().getHeader(key)
        return self.head.get(key.lower())

    def visit_by(self, terms: object) -> Visit | None:
        """Who stands behind it as was found by these terms, if that was asked already."""
        visit = None if self.channel is None or self.head is None else self.channel.visit
        is_its = visit is not None and visit.head() is self.head and visit.terms is terms
        return visit if is_its else None

    def forget(self) -> None:
        """See `EagerRequest.forget`."""
        super().forget()
        self.head = None

    def name(self) -> None:
        """Gives it its id: the one it came with, if that is well formed, or a new one. Its answer has it as well."""
        if not self.request_id:
            named = self.head is not None and self.head.get(b"x-request-id") is not None
            sent = self.requestHeaders.getRawHeaders(b"x-request-id", ()) if named else ()
            known = len(sent) == 1 and _ID.fullmatch(sent[0])
            self.request_id = sent[0].decode("ascii") if known else f"req_{_random.getrandbits(64):016x}"
        self.setHeader(b"x-request-id", self.request_id.encode("ascii"))
        if self.plain_path.startswith("/v1/messages"):
            # Where Anthropic's clients look for it.
            self.setHeader(b"request-id", self.request_id.encode("ascii"))


def head_of(request: IRequest) -> Head:
    """What the head of a request says that is there."""
    if isinstance(request, PlacedRequest) and request.head is not None:
        return request.head
    return Head(request.method, request.uri, cast(Request, request).clientproto, request.requestHeaders)
