"""Where a turn stands among the spans of other programs: W3C's trace context, as two headers have it."""

import re
from collections.abc import Sequence
from secrets import token_hex

from msgspec import Struct

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

# A later version may say more behind a dash; what this one says stays where it is.
_PARENT = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.{0,200})?"
)
_STATE = re.compile(rb"[\x20-\x7e\t]+")
# Bytes of it that are passed on.
LONGEST_STATE = 512
_SAMPLED = 1


class Span(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One span by its ids, in hexadecimal digits; `parent_id` is "" for the first of a trace.

    `state` is what tracing systems pass on beside it, word for word. One that is not `sampled` is told to nobody.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True
    state: str = ""

    def child(self) -> "Span":
        """A span that this one caused."""
        return Span(
            trace_id=self.trace_id,
            span_id=token_hex(8),
            parent_id=self.span_id,
            sampled=self.sampled,
            state=self.state,
        )

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries that it causes."""
        state = {TRACESTATE: self.state} if self.state else {}
        return {TRACEPARENT: f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}", **state}


def first_span() -> Span:
    """The first span of a trace of its own."""
    return Span(trace_id=token_hex(16), span_id=token_hex(8))


def span_in(parents: Sequence[bytes], states: Sequence[bytes]) -> Span | None:
    """The span that caused a request, by its headers; None if they are not there, or not what they should be."""
    found = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None or found["version"] == b"ff" or (found["version"] == b"00" and found["more"]):
        return None
    if not found["trace"].strip(b"0") or not found["span"].strip(b"0"):
        return None
    state = b",".join(states)
    return Span(
        trace_id=found["trace"].decode("ascii"),
        span_id=found["span"].decode("ascii"),
        sampled=bool(int(found["flags"], 16) & _SAMPLED),
        state=state.decode("ascii").strip()
        if len(state) <= LONGEST_STATE and _STATE.fullmatch(state)
        else "",
    )
