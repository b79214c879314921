"""What single clients need beyond their dialect: one small table, keyed by what identifies the client.

A client is known by its User-Agent, by a header of its own, and by the endpoint it asks; the dialect itself is never
guessed from here. Every row says why it is there. A need that all clients of an endpoint share belongs into the
dialect, not here.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from .heads import Head


@dataclass(frozen=True, kw_only=True, slots=True)
class Quirks:
    """The knobs, as everybody has them.

    - `line_gap`: seconds between two lines of a stream, each of them a write of its own; 0 writes all lines of a
      segment together, as soon as they are there. `line_text`: the longest text of such a line, in characters.
    - `heartbeats`: whether a silent stream may be kept alive with frames that say nothing.
    - `failures_as_text`: a turn that fails before its first word is told as a streamed answer, not as a status.
    - `unauthorized`: the status that a missing or wrong key becomes.
    - `no_retry_header`: an error after which the same request would act twice says `x-should-retry: false`.
    - `no_retry_status`: the status such an error gets where only a status stops a client from sending again.
    - `refused`: the status that a refusal for good of the model's server becomes.
    - `openai_errors`: errors have OpenAI's form, whatever the endpoint.
    - `joins`: how a command line joins its user's words and what came through a pipe: the words are in `quotes` and
      come first, or the `pipe first` and the words behind empty lines.
    - `shows_history`: each message comes with all of its chat, so that one without any before it is a chat's first.
    """

    line_gap: float = 0.0
    line_text: int = 0
    heartbeats: bool = True
    failures_as_text: bool = False
    unauthorized: int = 401
    no_retry_header: bool = False
    no_retry_status: int | None = None
    refused: int = 424
    openai_errors: bool = False
    joins: Literal["quotes", "pipe first"] | None = None
    shows_history: bool = False


EVERYBODY = Quirks()


class Row(NamedTuple):
    """One client: both patterns must be found, `agent` in the User-Agent, `path` in the plain path.

    So must be `header`, unless it is empty.
    """

    agent: re.Pattern[str]
    path: re.Pattern[str]
    header: bytes
    knobs: dict[str, Any]


def _row(agent: str, path: str, header: bytes = b"", **knobs: Any) -> Row:
    return Row(re.compile(agent, re.IGNORECASE), re.compile(path), header, knobs)


TABLE = (
    # Enchanted decodes every network read by itself: a line that straddles two reads is lost, and of a read with
    # several lines everything after the first bad one. 64 characters stay under 1 kB even if all of them are
    # escaped as surrogate pairs. Of an HTTP error it shows the number and not the text.
    _row(r"^enchanted/", r"^/api/", line_gap=0.015, line_text=64, failures_as_text=True),
    # Ollama's CLI waits without a limit, and its spinner stops at the first frame. A 401 makes it print a sign-in
    # notice for Ollama's cloud, and it cannot send a key anyway.
    _row(r"^ollama/", r"", heartbeats=False, unauthorized=403),
    # The prompt of `ollama run` exits on an error of a chat, unless the error says `upstream error`; then the
    # user sees a general notice instead of the reason. As an answer the reason is seen and the prompt stays.
    _row(r"^ollama/", r"^/api/chat$", failures_as_text=True),
    # OpenAI's SDKs, and what is built on them under other names, send a failed request twice more.
    _row(r"", r"^/v1/", no_retry_header=True),
    # Vercel's AI SDK does so too, and knows no header against it.
    _row(r"(^|\s)(ai-sdk|ai)/", r"", no_retry_status=424),
    # codex asks five times more after every status but a few that it has names for.
    _row(r"^codex", r"^/v1/responses$", refused=400),
    # Of its Ollama provider's errors it shows only the reason phrase, unless they have OpenAI's form.
    _row(r"(^|\s)(ai-sdk|ai)/", r"^/api/", openai_errors=True),
    # `opencode run "two words"` sends the marks as well, and what came through a pipe behind them.
    _row(r"^opencode/", r"", joins="quotes"),
    # `qwen -p words` puts what came through a pipe before the words, where commands would stand.
    _row(r"^(qwencode|geminicli)", r"", joins="pipe first"),
    # Chat apps that cannot go without their own history; the same first message once more is a regenerated one there.
    # Scripts under other names may well repeat "next" and rely on the session.
    _row(r"^(enchanted|mozilla)/", r"", shows_history=True),
    _row(r"", r"", b"x-openwebui-chat-id", shows_history=True),
)


def quirks_of(head: Head) -> Quirks:
    """The knobs for the client behind a request with this head; later rows of the table override earlier."""
    agent = (head.get(b"user-agent") or b"").decode("latin-1")
    return _knobs(agent, head.path, frozenset(each for each in _HEADERS if head.get(each) is not None))


_HEADERS = tuple({row.header for row in TABLE if row.header})


@lru_cache(maxsize=256)
def _knobs(agent: str, path: str, headers: frozenset[bytes]) -> Quirks:
    """Kept for the few clients that ask again and again."""
    quirks = EVERYBODY
    for row in TABLE:
        is_there = not row.header or row.header in headers
        if is_there and row.agent.search(agent) and row.path.search(path):
            quirks = replace(quirks, **row.knobs)
    return quirks
