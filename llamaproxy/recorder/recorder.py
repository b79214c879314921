"""Takes records when turns begin, and keeps them when they are over."""

from collections.abc import Callable, Iterable, Sequence
from time import time

from msgspec import json
from zope.interface import implementer

from ..seams.interfaces import IRecorder
from ..seams.lines import Lines
from ..seams.oversight import CallerTally, Health, IRecords, Point
from ..seams.records import LONGEST_REASON, Record
from ..seams.spans import Span
from ..seams.telling import line_of
from .hour import Hour
from .rings import Rings

# Callers that are remembered; the one that was silent longest is forgotten first.
MOST_CALLERS = 200
# Bytes of records of apps' errands.
ERRAND_BYTES = 512 * 1024
# Sessions whose words may be kept at the same time.
MOST_LISTENED = 20


@implementer(IRecorder, IRecords)
class Recorder:
    """The flight recorder of one process.

    `lines` says how the log tells of a turn: in a `line`, as `json`, or not at all (`off`); `now` gives Unix seconds.
    `span_of` gives a turn its span, by the one that caused it; None where nobody is told of spans.
    """

    def __init__(
        self,
        lines: str = "line",
        now: Callable[[], float] = time,
        rings: Rings | None = None,
        span_of: Callable[[Span | None], Span] | None = None,
    ) -> None:
        self.lines = lines
        self._span_of = span_of
        self._now = now
        self._rings = rings or Rings()
        # Apart, as each answer may have three of them.
        self._errands = Rings(ERRAND_BYTES)
        self._live: dict[int, Record] = {}
        self._words: dict[str, float] = {}
        self._health: dict[str, Health] = {}
        self._callers: dict[str, CallerTally] = {}
        self.hour = Hour()
        self._log = Lines(self)
        # Called with each record when its turn is over.
        self.listeners: list[Callable[[Record], None]] = []

    def begin(self, record: Record) -> None:
        """See `IRecorder`."""
        record.began = self._now()
        if self._span_of is not None:
            record.span = self._span_of(record.cause)
        until = self._words.get(record.session_id)
        record.keeps_words = until is not None and record.began < until
        self._live[id(record)] = record

    def end(self, record: Record) -> None:
        """See `IRecorder`."""
        if self._live.pop(id(record), None) is None:
            return
        now = self._now()
        (self._errands if record.errand else self._rings).add(record)
        if not record.counts_elsewhere:
            self._count(record, now)
        if self.lines == "line":
            self._log.line(line_of(record))
        elif self.lines == "json":
            self._log.line(json.encode(record).decode())
        for listener in self.listeners:
            listener(record)

    def _count(self, record: Record, now: float) -> None:
        if not record.errand:
            self.hour.count(record, now)
        self._tally(record, now)
        for attempt in record.attempts:
            health = self._health.get(attempt.model)
            if health is None:
                health = self._health[attempt.model] = Health(model=attempt.model)
            health.asked += 1
            if attempt.error:
                health.failed += 1
                health.failed_at, health.error = now, attempt.error[:LONGEST_REASON]
            elif attempt.seconds is not None:
                health.answered_at, health.first = now, attempt.first
                health.rate = attempt.rate or health.rate

    def errand(self, session_id: str, what: str) -> None:
        """See `IRecorder`."""
        live = (r for r in reversed(self._live.values()) if r.session_id == session_id and not r.errand)
        record = next(live, None)
        if record is not None:
            record.add_errand(what)
        else:
            self._rings.amend(session_id, what)

    def last(self, session_id: str) -> Record | None:
        """See `IRecorder`."""
        return next((record for record in self._rings.of(session_id) if record.attempts), None)

    # -- for the operator

    def live(self) -> Iterable[Record]:
        """Those of turns under way, oldest first."""
        return self._live.values()

    def of(self, session_id: str) -> list[Record]:
        """Those that a session left, newest first."""
        return list(self._rings.of(session_id))

    def find(self, request_id: str) -> Record | None:
        """The record of a request, also one under way."""
        live = next((record for record in self._live.values() if record.request_id == request_id), None)
        return live or self._rings.find(request_id) or self._errands.find(request_id)

    def since(self, number: int, most: int) -> tuple[int, list[Record]]:
        """The number of the newest record, and those behind `number`, oldest first."""
        return self._rings.newest, self._rings.since(number, most)

    def keep_words(self, session_id: str, seconds: float) -> None:
        """Keeps the words of a session's turns from now on, for so long; 0 ends it."""
        now = self._now()
        self._words = {each: until for each, until in self._words.items() if until > now}
        self._words.pop(session_id, None)
        if seconds > 0 and len(self._words) < MOST_LISTENED:
            self._words[session_id] = now + seconds

    def listened(self) -> dict[str, float]:
        """The sessions whose words are kept now, and until when (Unix seconds)."""
        now = self._now()
        return {each: until for each, until in self._words.items() if until > now}

    def health(self, model: str) -> Health:
        """How a model does, as far as its turns told."""
        return self._health.get(model) or Health(model=model)

    def callers(self) -> Sequence[CallerTally]:
        """Who asked, the newest last."""
        return list(self._callers.values())

    def look(self, live: int, memory: int) -> None:
        """See `IRecords`."""
        self.hour.look(self._now(), live, memory)

    def points(self) -> list[Point]:
        """The last hour."""
        return self.hour.points(self._now())

    def _tally(self, record: Record, now: float) -> None:
        # Taken out and put in again, so that the first is the one that was silent longest.
        tally = self._callers.pop(record.caller, None) or CallerTally(caller=record.caller)
        tally.turns += not record.errand
        prompts, answers = record.tokens
        tally.prompt_tokens += prompts
        tally.completion_tokens += answers
        tally.seen = now
        self._callers[record.caller] = tally
        if len(self._callers) > MOST_CALLERS:
            del self._callers[next(iter(self._callers))]
