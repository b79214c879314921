"""What a server was found to refuse, and how that is found out: by being refused, once for each entry.

A refusal that blames something which can be left out, or put otherwise, costs that and not the turn. What was learned
is kept once the server has taken the request that was made by it; a wrong guess is forgotten with its request.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace
from twisted.logger import Logger

from ...seams.errors import ContextTooLong, ModelError
from ...seams.types import ModelRequest, ModelResult
from ..upstream.wire import encode

# Refusals of one request, each for another reason, before it is given up.
MOST_REFUSALS = 24
# That most servers take.
MOST_TOOLS = 128

# It is no request that is refused, but a call in the answer that the server cannot read.
_OF_THE_ANSWER = re.compile(
    r"pars(?:e|ing) (?:the )?(?:tool|function)[ _]call|parse input at|tool_use_failed|failed to call a function",
    re.IGNORECASE,
)

Body = dict[str, Any]


class Lessons(Struct, frozen=True, kw_only=True):
    """How the requests for one server are made.

    - `without`: fields of a request, or of a message, that are left out.
    - `limits`: names of the field for the longest answer, by preference; `least_tokens` and `most_tokens` bound it,
      and from `unlimited` on it is left out: beside a prompt there is no room for that.
    - `efforts`: the words for an effort that are known, None for all; `by_budget`: thinking is asked for in tokens.
    - `forms`: types of `response_format` that are known.
    - `short_ids`: calls have ids of nine letters and digits.
    - `reasoning`, `signatures`: messages with calls must have `reasoning_content`, calls a `thought_signature`.
    - `no_extras`, `no_schema`: nothing goes back of what the server added itself, a schema is told in words; for one
      request only, as it lies in that.
    - `no_images`, `no_system`, `no_null`: no pictures, no system message, no `null` for a text that is not there.
    - `most_tools`; `tools_out`: those left out, as `name` and digest of the definition; `tools_plain`: without the
      finer parts of their schemas; `tools_in_words`: the model is told of them in its prompt; `stand_ins`: calls in
      the history need tools beside them, even where none may be called.
    """

    without: frozenset[str] = frozenset()
    limits: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    least_tokens: int = 0
    most_tokens: int = 2**31
    unlimited: int = 2**31
    efforts: frozenset[str] | None = None
    by_budget: bool = False
    forms: frozenset[str] = frozenset({"json_object", "json_schema"})
    short_ids: bool = False
    reasoning: bool = False
    signatures: bool = False
    no_extras: bool = False
    no_schema: bool = False
    no_images: bool = False
    no_system: bool = False
    no_null: bool = False
    most_tools: int = MOST_TOOLS
    tools_out: frozenset[str] = frozenset()
    tools_plain: bool = False
    tools_in_words: bool = False
    stand_ins: bool = False


class Learned(Struct, frozen=True):
    """What follows from a refusal, with a line for the operator."""

    lessons: Lessons
    note: str


# What a refusal (all that the server said of it) of a body teaches, if anything.
Rule = Callable[[str, Body, Lessons], Learned | None]


class Requests(Protocol):
    """How the requests of a format are written, for one entry."""

    def body(self, request: ModelRequest, lessons: Lessons) -> Body:
        """The body of a request."""

    def read(self, result: ModelResult) -> ModelResult:
        """The result in our own names."""


class Pupil:
    """Finds the words for the server of one entry, and learns; `who` names the model."""

    _log = Logger()

    def __init__(self, who: str, rules: Sequence[Rule], lessons: Lessons, requests: Requests) -> None:
        self.lessons = lessons
        self._who = who
        self.rules = rules
        self.requests = requests

    def asking(self, request: ModelRequest) -> "Attempt":
        """The request as it is made by what is known, and again as long as its refusal teaches more."""
        return Attempt(self, request)

    def keep(self, lessons: Lessons, notes: Sequence[str]) -> None:
        """Takes over what was learned, beside what another request may have taught meanwhile."""
        known, self.lessons = self.lessons, _merged(self.lessons, lessons)
        # Requests at the same time learn the same.
        if known != self.lessons or lessons.no_extras or lessons.no_schema:
            for note in notes:
                self._log.warn("{who}: {note}", who=self._who, note=note)


class Attempt:
    """The `upstream.call.Asking` of one request, on its way to a form that is taken.

    `_notes` are those of the `_lessons` that it is made by.
    """

    __slots__ = (
        "_again",
        "_before",
        "_known",
        "_left",
        "_lessons",
        "_notes",
        "_place",
        "_pupil",
        "_request",
        "_said",
    )

    def __init__(self, pupil: Pupil, request: ModelRequest) -> None:
        self._pupil = pupil
        self._request = request
        self._lessons = pupil.lessons
        self._notes: tuple[str, ...] = ()
        self._said: str | None = None
        self._again = True
        self._left = MOST_REFUSALS

    def body(self) -> bytes:
        """See `Asking`: the text of the request by the newest lessons."""
        return encode(self._make(self._lessons))

    def taken(self, result: ModelResult) -> ModelResult:
        """See `Asking`."""
        self._keep()
        return self._pupil.requests.read(result)

    def failed(self, error: Exception) -> bool:
        """See `Asking`. What failed otherwise than by a refusal was taken."""
        if not isinstance(error, ModelError) or not error.refused or isinstance(error, ContextTooLong):
            self._keep()
            return False
        self._left -= 1
        return self._left >= 0 and self._learn(error.said)

    def _keep(self) -> None:
        if self._notes:
            self._pupil.keep(self._lessons, self._notes)

    def _learn(self, said: str) -> bool:
        """Takes the next step against a refusal; whether there is one.

        While the refusal stays the same, a rule goes on as far as it can; if that is no help, what it taught is
        forgotten, and the next rule is tried. What the model made a mess of itself may go better the second time.
        """
        if _OF_THE_ANSWER.search(said):
            again, self._again = self._again, False
            return again
        if said != self._said:
            self._said, self._before, self._known, self._place = said, self._lessons, self._notes, 0
        while self._place < len(self._pupil.rules):
            body = self._make(self._lessons)
            learned = self._pupil.rules[self._place](said, body, self._lessons)
            if learned is not None and self._make(learned.lessons) != body:
                self._lessons = learned.lessons
                self._notes = (*self._notes, learned.note)
                return True
            self._lessons, self._notes = self._before, self._known
            self._place += 1
        return False

    def _make(self, lessons: Lessons) -> Body:
        return self._pupil.requests.body(self._request, lessons)


def _merged(one: Lessons, other: Lessons) -> Lessons:
    """What either says, where that is less than nothing was known of."""
    fresh = Lessons()
    changed: dict[str, Any] = {
        name: value
        for name in Lessons.__struct_fields__
        if name not in ("no_extras", "no_schema") and (value := getattr(other, name)) != getattr(fresh, name)
    }
    for name in ("without", "tools_out"):
        changed[name] = getattr(one, name) | getattr(other, name)
    return replace(one, **changed, no_extras=False, no_schema=False)
