"""What is noted of each turn: who asked, what was done, how long it took and how it ended, and none of its words.

A record is the one thing that grows while it crosses walls: the web room begins it, the agent adds to it, and whoever
keeps records gets it when the turn is over. Nothing is added per token.
"""

from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from .spans import Span

# What came of a tool call.
Verdict = Literal["ran", "failed", "refused", "asked", "wrong", "late"]

# How a turn ended: `left` is a client that hung up, `asked` a question for leave that stands open.
Ending = Literal["running", "done", "cut", "failed", "left", "stopped", "asked"]

# Characters of what others wrote that a record keeps: names of clients and tools, reasons.
LONGEST_NAME = 120
LONGEST_REASON = 300
# Characters of the words of either side, where the operator wants them.
MOST_WORDS = 4000
# Entries of each kind that a record keeps.
MOST_ENTRIES = 200


class ToolUse(Struct, kw_only=True, omit_defaults=True):
    """One call of a tool; times are in seconds, `at` from the turn's beginning; `span` as in `Attempt`."""

    name: str
    at: float
    seconds: float = 0.0
    verdict: Verdict = "ran"
    span: Span | None = None


class Attempt(Struct, kw_only=True, omit_defaults=True):
    """One time that a model was asked; times are in seconds, `at` from the turn's beginning.

    `messages` of the history were sent and `left_out` of it were not. `counted` says that the model's server counted
    the tokens, which are guessed otherwise. `span` is its own, where spans are told.
    """

    model: str
    at: float
    messages: int = 0
    left_out: int = 0
    tools: int = 0
    first: float | None = None
    seconds: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted: bool = False
    error: str = ""
    span: Span | None = None

    @property
    def rate(self) -> float | None:
        """Tokens a second, from the first one on."""
        if self.seconds is None or self.first is None or self.completion_tokens < 2:
            return None
        took = self.seconds - self.first
        return self.completion_tokens / (took if took > 0.001 else 0.001)


class Record(Struct, kw_only=True, omit_defaults=True):
    """What happened in one turn.

    `began` is in Unix seconds, `start` in the clock's, and all other times are in seconds from then on.

    `named_by` says what decided the session, `caller` whose limits it shares, `profile` what the operator wrote about
    them. `queued` is the wait for earlier turns of the session, `first` the time to the first piece of the reply,
    `paused` how long a slow reader held it in `pauses` times. `commands` are names of commands alone. `errands` are an
    app's own questions that were answered beside it.
    `joined` is the request whose turn this one heard the rest of; of the two, one `counts_elsewhere`. What goes on
    without any client has a record of its own, which is `alone`. An `errand` is an app's own question that a model
    answered: no turn of the session. `asked` and `answered` are words, kept only where `keeps_words` says that the
    operator wants them. `cause` is the span of another program that caused the request, `span` the turn's own, where
    spans are told.
    """

    request_id: str = ""
    session_id: str = ""
    began: float = 0.0
    start: float = 0.0
    caller: str = ""
    profile: str = ""
    address: str = ""
    named_by: str = ""
    dialect: str = ""
    client: str = ""
    streamed: bool = False
    queued: float = 0.0
    commands: list[str] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    errands: list[str] = field(default_factory=list)
    first: float | None = None
    pauses: int = 0
    paused: float = 0.0
    is_paused: bool = False
    heartbeats: int = 0
    seconds: float = 0.0
    end: Ending = "running"
    reason: str = ""
    joined: str = ""
    counts_elsewhere: bool = False
    alone: bool = False
    errand: str = ""
    keeps_words: bool = False
    asked: str = ""
    answered: str = ""
    cause: Span | None = None
    span: Span | None = None

    @property
    def model(self) -> str:
        """The model that was asked last; "" for none."""
        return self.attempts[-1].model if self.attempts else ""

    @property
    def tokens(self) -> tuple[int, int]:
        """Those of the prompts and those of the answers, of all attempts."""
        prompts = answers = 0
        for attempt in self.attempts:
            prompts += attempt.prompt_tokens
            answers += attempt.completion_tokens
        return prompts, answers

    @property
    def prompt_tokens(self) -> int:
        """Of all attempts."""
        return self.tokens[0]

    @property
    def completion_tokens(self) -> int:
        """Of all attempts."""
        return self.tokens[1]

    @property
    def rate(self) -> float | None:
        """Tokens a second of the last answer."""
        return self.attempts[-1].rate if self.attempts else None

    def take_over(self, earlier: "Record") -> None:
        """The turn of an earlier request goes on for this one; one of them keeps a copy of what was done so far.

        That is the later one where the turn is over: its spans are told, and it is counted.
        """
        self.commands, self.attempts, self.tools = earlier.commands, earlier.attempts, earlier.tools
        self.queued, self.joined = earlier.queued, earlier.request_id
        self.hear(earlier.asked)
        copy = self if earlier.end != "running" else earlier
        copy.counts_elsewhere = True
        copy.attempts = [replace(attempt, span=None) for attempt in self.attempts]
        copy.tools = [replace(tool, span=None) for tool in self.tools]
        later = self.start - earlier.start
        for attempt in self.attempts:
            attempt.at -= later
        for tool in self.tools:
            tool.at -= later

    def unheard(self, start: float) -> "Record":
        """One for what is done from `start` on, as the client has left. Nothing of it is noted yet."""
        return Record(
            request_id=self.request_id,
            session_id=self.session_id,
            start=start,
            caller=self.caller,
            profile=self.profile,
            address=self.address,
            named_by=self.named_by,
            dialect=self.dialect,
            client=self.client,
            alone=True,
            cause=self.span or self.cause,
        )

    def ask(self, attempt: Attempt) -> Span | None:
        """Notes that a model is asked; returns the span that this causes what its server does, None for none."""
        attempt.span = self.span and self.span.child()
        self.attempts.append(attempt)
        return attempt.span or self.cause

    def use(self, tool: ToolUse) -> None:
        """Notes the call of a tool."""
        tool.span = self.span and self.span.child()
        if len(self.tools) < MOST_ENTRIES:
            self.tools.append(tool)

    def add_errand(self, what: str) -> None:
        """Notes an errand beside the turn."""
        if len(self.errands) < MOST_ENTRIES:
            self.errands.append(what[:LONGEST_NAME])

    def hear(self, asked: str = "", answered: str = "") -> None:
        """Keeps words of the turn, if the operator wants them."""
        if self.keeps_words:
            self.asked = self.asked or asked[:MOST_WORDS]
            self.answered = self.answered or answered[:MOST_WORDS]

    def break_off(self, end: Ending, reason: str = "") -> None:
        """Says how it ended, unless that is known already."""
        if self.end == "running":
            self.end, self.reason = end, reason[:LONGEST_REASON]
