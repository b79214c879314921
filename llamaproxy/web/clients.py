"""Who asks, by the head of the request: which program, what it needs, and what it says of this very request."""

from msgspec import Struct

from ..seams.records import LONGEST_NAME
from ..seams.spans import Span, span_in
from .heads import Head
from .quirks import Quirks, quirks_of

# For Open WebUI's custom header with the template {{TASK}}.
TASK_HEADER = b"x-llamaproxy-task"


class Client(Struct, frozen=True):
    """A client: its User-Agent, "" for none, the `name` in that, and what it needs beyond its dialect.

    `errand` is what it says of its own accord that it wants beside the conversation, `attempt` that of `ChatTurn`, and
    `cause` the span of another program that caused the request.
    """

    agent: str
    name: str
    quirks: Quirks
    errand: str
    attempt: int | None
    cause: Span | None


def client_of(head: Head) -> Client:
    """The client behind a request with this head."""
    agent = _said(head, b"user-agent")
    # Of most programs the first word is their name; browsers and what is built on them have it at the end.
    name = agent if agent.startswith("Mozilla/") else agent.partition(" ")[0]
    # OpenAI's and Anthropic's libraries, all made by Stainless, count from 0.
    tries = head.get(b"x-stainless-retry-count") or b""
    span = head.headers.getRawHeaders(b"traceparent", ()), head.headers.getRawHeaders(b"tracestate", ())
    return Client(
        agent=agent,
        name=name[:LONGEST_NAME],
        quirks=quirks_of(head),
        errand=_said(head, TASK_HEADER),
        attempt=int(tries) if tries.isdigit() and len(tries) <= 3 else None,
        cause=span_in(*span),
    )


def _said(head: Head, name: bytes) -> str:
    return (head.get(name) or b"").decode("latin-1")
