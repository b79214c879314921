"""One answer on its way out: takes the model's deltas, and holds the model while its consumer is full.

The token path of the agent room. A segment comes in as one list and goes out as one list; `Text` and `Reasoning`
pass through as they are. What the agent itself needs of them (the text for the history, the times and counts for
the last frame) is taken a segment at a time.

A turn may ask its model several times, with tools in between. Each of these stretches has a transcript of its own;
the counts and times of the last frame are the sums over all of them. The transcripts, with what the agent itself
said between them, are also what a client hears first that comes later: the thoughts so far, then the text so far.
"""

from collections.abc import Callable, Sequence
from typing import cast

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from ...seams.errors import AgentError
from ...seams.interfaces import IDeltaReceiver, IReply, IReplyConsumer
from ...seams.surrogates import joined
from ...seams.types import (
    AgentEvent,
    ModelDelta,
    ModelResult,
    Reasoning,
    ReplyEnd,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from .halves import Halves
from .seat import Seat, Several
from .transcript import Transcript


@implementer(IDeltaReceiver)
class Reply:
    """The two ends of one answer: the model writes into it, the consumers of its clients read from it.

    `deserted` is called when the last client has left, with whether it was told anything.
    """

    __slots__ = (
        "_alone",
        "_asked",
        "_backlog",
        "_began",
        "_clock",
        "_consumer",
        "_deserted",
        "_end",
        "_first",
        "_halves",
        "_last",
        "_newest",
        "_outcome",
        "_preface",
        "_producer",
        "_seats",
        "_thoughts",
        "_tokens",
        "_told",
        "transcript",
        "usage",
    )

    def __init__(self, clock: IReactorTime, deserted: Callable[[bool], None]) -> None:
        self.transcript = Transcript()
        self._told: list[str | Transcript] = [self.transcript]
        self._thoughts: Transcript | None = None
        self._halves = Halves()
        self._clock = clock
        self._deserted = deserted
        self._seats: list[Seat] = []
        self._alone = False
        # The newest that listens, and what takes the events for all that do.
        self._newest: Seat | None = None
        self._consumer: IReplyConsumer | Several | None = None
        self._producer: IPushProducer | None = None
        # Everything so far, until somebody listens; None from then on.
        self._backlog: list[AgentEvent] | None = []
        # Thoughts that go before the first event.
        self._preface = ""
        self._outcome: ReplyEnd | AgentError | None = None
        # Of the model's newest answer; an interrupted one has no counts.
        self.usage = Usage()
        self._tokens = 0
        self._began = self._asked = clock.seconds()
        self._first: float | None = None
        self._last = self._began
        self._end = ReplyEnd()

    @property
    def begun(self) -> bool:
        """Whether the model has said anything since it was last asked."""
        return self._first is not None

    @property
    def first_after(self) -> float | None:
        """Seconds from the model's being asked to the first that it said; None if it has not."""
        return None if self._first is None else self._first - self._asked

    @property
    def pieces(self) -> int:
        """How many pieces the model's newest answer has so far."""
        return self._tokens

    @property
    def heard(self) -> bool:
        """Whether anybody was told anything of it."""
        return self._backlog is None

    @property
    def clients(self) -> int:
        """How many wait for it, or hear it."""
        return len(self._seats)

    @property
    def closed(self) -> bool:
        """Whether it has come to its end."""
        return self._outcome is not None

    @property
    def complete(self) -> bool:
        """Whether it has come to a good end."""
        return isinstance(self._outcome, ReplyEnd)

    @property
    def spent(self) -> Usage:
        """The tokens of all the model's answers so far; of one that was broken off, as many as it has pieces."""
        so_far = self._end.usage
        broken_off = self._tokens if self.usage == Usage() else 0
        return Usage(so_far.prompt_tokens, so_far.completion_tokens + broken_off)

    @property
    def ending(self) -> str:
        """How the model's newest answer ended."""
        return self._end.finish_reason

    # -- the model's side (IDeltaReceiver)

    def registerProducer(self, producer: IPushProducer) -> None:
        """Takes the model's stream, and holds it at once if the consumer is full or not there yet."""
        self._producer = producer
        if self._is_held():
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """The model's stream is over."""
        self._producer = None
        self._pass_on_rest()

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        """Passes one segment on and keeps its text."""
        self._last = self._clock.seconds()
        if self._first is None:
            self._first = self._last
        texts = [delta.text for delta in deltas if type(delta) is Text]
        self._tokens += len(deltas)
        if len(texts) < len(deltas) or self._halves.half is not None:
            self._take(deltas)
            return
        try:
            self.transcript.add("".join(texts))
        except UnicodeEncodeError:
            self._take(deltas)
        else:
            self._emit(deltas)  # type: ignore[arg-type]  # all of them are Text

    # -- the agent's side

    def asking(self) -> None:
        """The model is being asked from now on: the start of the prompt's evaluation."""
        if self.transcript or self._told[-1] is not self.transcript:
            self.transcript = Transcript()
            self._told.append(self.transcript)
        self._tokens, self._first = 0, None
        self.usage = Usage()
        self._asked = self._last = self._clock.seconds()

    def answered(self, result: ModelResult, estimate: Callable[[], int]) -> None:
        """The model has ended its answer. `estimate` counts the prompt's tokens, for a `result` without counts."""
        # What a filter on the way held back to the end.
        self._pass_on_rest()
        self.usage = usage = result.usage or Usage(estimate(), self._tokens)
        first = self._last if self._first is None else self._first
        load = min(result.load_seconds, first - self._asked)
        so_far = self._end
        self._end = ReplyEnd(
            finish_reason="stop" if result.finish_reason == "tool_calls" else result.finish_reason,
            stop_sequence=result.stop_sequence,
            usage=Usage(
                so_far.usage.prompt_tokens + usage.prompt_tokens,
                so_far.usage.completion_tokens + usage.completion_tokens,
            ),
            load_duration=so_far.load_duration + _nanoseconds(load),
            prompt_eval_duration=so_far.prompt_eval_duration + _nanoseconds(first - self._asked - load),
            eval_duration=so_far.eval_duration + _nanoseconds(self._last - first),
        )

    def say(self, text: str) -> None:
        """Sends words of the agent itself, which are not part of the history."""
        text = joined(text)
        self._told.append(text)
        self._emit([Text(text)])

    def murmur(self, text: str) -> None:
        """Sends words of the agent itself beside the answer, where the app shows a model's thoughts."""
        text = joined(text)
        self._think(text)
        self._emit([Reasoning(text)])

    def preface(self, text: str) -> None:
        """As `murmur`, but with the first event, so that it does not come before a failure of the first word."""
        if self._backlog == []:
            self._preface = text
        else:
            self.murmur(text)

    def text(self) -> str:
        """All that was sent as the answer, with the agent's own words in it."""
        if len(self._told) == 1:
            return self.transcript.text()
        return "".join([piece if isinstance(piece, str) else piece.text() for piece in self._told])

    def hand_over(self, calls: Sequence[ToolCall]) -> None:
        """The reply is to end with calls that the app has to run."""
        self._end = replace(self._end, finish_reason="tool_calls", tool_calls=tuple(calls))

    def go_on_alone(self) -> None:
        """Nobody listens, and the model need not wait for anybody; who comes later hears it from its beginning."""
        self._alone = True
        if self._backlog is not None:
            self._think(self._preface)
            self._preface, self._backlog = "", None
        self.adjust()

    def finish(self) -> None:
        """Ends the reply."""
        total = _nanoseconds(self._clock.seconds() - self._began)
        self._close(replace(self._end, total_duration=total))

    def fail(self, error: AgentError) -> None:
        """Breaks the reply off; before the first event this becomes the failure of `join`."""
        self._close(error.afresh())

    # -- the clients' side

    def join(self) -> Deferred[IReply]:
        """One more client, the newest. Fires at the first event or the end, so that a failure before the first token
        still can be an HTTP status; cancelling it is to leave.
        """
        seat = Seat(self)
        ready = cast(Deferred[IReply], seat.ready)
        self._seats.append(seat)
        if self._backlog != [] or self._outcome is not None:
            self._call(seat)
        return ready

    def deliver(self, seat: Seat) -> None:
        """See `seat.Stage`."""
        past = self._past()
        if past and seat.consumer is not None:
            seat.consumer.eventsReceived(past)
        if self._outcome is not None:
            seat.close(_told(self._outcome))
        else:
            self._listen()

    def adjust(self) -> None:
        """See `seat.Stage`."""
        if self._producer is None:
            return
        if self._is_held():
            self._producer.pauseProducing()
        else:
            self._producer.resumeProducing()

    def leave(self, seat: Seat, heard: bool) -> None:
        """See `seat.Stage`."""
        if seat not in self._seats:
            return
        self._remove(seat)
        seat.release()
        if not self._seats:
            self._deserted(heard)

    # -- inside

    def _take(self, deltas: Sequence[ModelDelta]) -> None:
        """Takes what is not merely text, or holds characters in halves."""
        whole = self._halves.mend(deltas)
        self._pass_on([delta for delta in whole if not isinstance(delta, ToolCallDelta)])

    def _pass_on_rest(self) -> None:
        """No other half comes any more."""
        if self._halves.half is not None:
            self._pass_on(self._halves.rest())

    def _pass_on(self, events: Sequence[AgentEvent]) -> None:
        """Keeps and sends events of whole characters."""
        self.transcript.add("".join(event.text for event in events if type(event) is Text))
        self._think("".join(event.text for event in events if type(event) is Reasoning))
        self._emit(events)

    def _think(self, text: str) -> None:
        if not text:
            return
        if self._thoughts is None:
            self._thoughts = Transcript()
        self._thoughts.add(text)

    def _emit(self, events: Sequence[AgentEvent]) -> None:
        if not events:
            return
        if self._consumer is not None:
            self._consumer.eventsReceived(events)
            return
        if self._backlog is not None:
            if self._preface:
                self._think(self._preface)
                self._backlog.append(Reasoning(self._preface))
                self._preface = ""
            self._backlog.extend(events)
        for seat in list(self._seats):
            self._call(seat)
        if self._consumer is None:
            self.adjust()

    def _call(self, seat: Seat) -> None:
        """Tells a client that there is something to hear."""
        ready, seat.ready = seat.ready, None
        if ready is None:
            return
        if self._backlog == [] and isinstance(self._outcome, AgentError):
            ready.errback(Failure(self._outcome.afresh()))
        else:
            ready.callback(seat)

    def _past(self) -> list[AgentEvent]:
        """What a client that begins to listen has missed."""
        if self._backlog is not None:
            past, self._backlog = self._backlog, None
            return past
        text = self.text()
        thoughts = self._thoughts.text() if self._thoughts is not None else ""
        return [*([Reasoning(thoughts)] if thoughts else ()), *([Text(text)] if text else ())]

    def _listen(self) -> None:
        """Somebody began to listen, or has left."""
        listening = [seat for seat in self._seats if seat.consumer is not None]
        self._newest = listening[-1] if listening else None
        if len(listening) > 1:
            self._consumer = Several(listening, self._dismiss)
        else:
            self._consumer = None if self._newest is None else self._newest.consumer
        self.adjust()

    def _is_held(self) -> bool:
        """Whether the model is to wait: for the newest client, or for any that would hear what has been said."""
        if self._newest is None:
            return self._backlog != [] and not self._alone
        return self._newest.full

    def _dismiss(self, seat: Seat, reason: Failure) -> None:
        self._remove(seat)
        seat.close(reason)

    def _remove(self, seat: Seat) -> None:
        seat.gone = True
        self._seats.remove(seat)
        self._listen()

    def _close(self, outcome: ReplyEnd | AgentError) -> None:
        self._outcome = outcome
        # Whoever leaves from now on stops nothing, and need not hold the turn, which holds this.
        self._deserted = _unnoticed
        seats, self._seats = self._seats, []
        self._consumer = self._newest = None
        for seat in seats:
            seat.close(_told(outcome))
            self._call(seat)


def _told(outcome: ReplyEnd | AgentError) -> ReplyEnd | Failure:
    """The outcome as one client hears it: whoever raises an error hangs a traceback on it, and this one is kept."""
    return Failure(outcome.afresh()) if isinstance(outcome, AgentError) else outcome


def _unnoticed(heard: bool) -> None:
    """Nobody minds that the last client has left."""


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000) if seconds > 0 else 0
