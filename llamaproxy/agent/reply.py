"""One answer on its way out: takes the model's deltas, and holds the model while its consumer is full.

The token path of the agent room. A segment comes in as one list and goes out as one list; `Text` and `Reasoning`
pass through as they are. What the agent itself needs of them (the text for the history, the times and counts for
the last frame) is taken a segment at a time.

A turn may ask its model several times, with tools in between. Each of these stretches has a transcript of its own;
the counts and times of the last frame are the sums over all of them.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from .errors import AgentError
from .interfaces import IDeltaReceiver, IReply, IReplyConsumer
from .transcript import Transcript
from .types import AgentEvent, ModelDelta, ModelResult, Reasoning, ReplyEnd, Text, ToolCallDelta, Usage


@implementer(IReply, IDeltaReceiver)
class Reply:
    """The two ends of one answer: the model writes into it, a dialect's consumer reads from it.

    `ready` fires with the reply at its first event or its end, so that a failure before the first token still
    can be an HTTP status; cancelling it calls `abandon`, as `stopProducing` does.
    """

    def __init__(self, clock: IReactorTime, abandon: Callable[[], None]) -> None:
        self.ready: Deferred[IReply] = Deferred(lambda _: abandon())
        self.transcript = Transcript()
        self._clock = clock
        self._abandon = abandon
        self._consumer: IReplyConsumer | None = None
        self._producer: IPushProducer | None = None
        self._backlog: list[AgentEvent] = []
        self._outcome: ReplyEnd | Failure | None = None
        self._paused = False
        self._tokens = 0
        self._began = self._asked = clock.seconds()
        self._first: float | None = None
        self._last = self._began
        self._end = ReplyEnd()

    @property
    def begun(self) -> bool:
        """Whether the model has said anything since it was last asked."""
        return self._first is not None

    # -- the model's side (IDeltaReceiver)

    def registerProducer(self, producer: IPushProducer) -> None:
        """Takes the model's stream, and holds it at once if the consumer is full or not there yet."""
        self._producer = producer
        if self._paused or (self._consumer is None and self._backlog):
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """The model's stream is over."""
        self._producer = None

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        """Passes one segment on and keeps its text."""
        self._last = self._clock.seconds()
        if self._first is None:
            self._first = self._last
        texts = [delta.text for delta in deltas if type(delta) is Text]
        self._tokens += len(deltas)
        if texts:
            self.transcript.add("".join(texts))
        if len(texts) == len(deltas):
            self._emit(deltas)  # type: ignore[arg-type]  # all of them are Text
        else:
            self._emit([delta for delta in deltas if not isinstance(delta, ToolCallDelta)])

    # -- the agent's side

    def asking(self) -> None:
        """The model is being asked from now on: the start of the prompt's evaluation."""
        self.transcript = Transcript()
        self._tokens, self._first = 0, None
        self._asked = self._last = self._clock.seconds()

    def answered(self, result: ModelResult, prompt_tokens: int) -> None:
        """The model has ended its answer. `prompt_tokens` is an estimate, for a `result` without counts."""
        usage = result.usage or Usage(prompt_tokens, self._tokens)
        first = self._last if self._first is None else self._first
        load = min(result.load_seconds, first - self._asked)
        so_far = self._end
        self._end = ReplyEnd(
            finish_reason="length" if result.finish_reason == "length" else "stop",
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
        self._emit([Text(text)])

    def murmur(self, text: str) -> None:
        """Sends words of the agent itself beside the answer, where the app shows a model's thoughts."""
        self._emit([Reasoning(text)])

    def finish(self) -> None:
        """Ends the reply."""
        total = _nanoseconds(self._clock.seconds() - self._began)
        self._close(replace(self._end, total_duration=total))

    def fail(self, error: AgentError) -> None:
        """Breaks the reply off; before the first event this becomes the failure of `ready`."""
        self._close(Failure(error))

    # -- the consumer's side (IReply)

    def deliverTo(self, consumer: IReplyConsumer) -> None:
        """Starts the flow with what has been waiting."""
        self._consumer = consumer
        if self._backlog:
            backlog, self._backlog = self._backlog, []
            consumer.eventsReceived(backlog)
        if self._outcome is not None:
            self._tell(consumer, self._outcome)
        elif not self._paused and self._producer is not None:
            self._producer.resumeProducing()

    def pauseProducing(self) -> None:
        """The consumer is full: holds the model."""
        self._paused = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The consumer has room again."""
        self._paused = False
        if self._producer is not None:
            self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The client left."""
        self._abandon()

    # -- inside

    def _emit(self, events: Sequence[AgentEvent]) -> None:
        if not events:
            return
        if self._consumer is not None:
            self._consumer.eventsReceived(events)
            return
        self._backlog.extend(events)
        if not self.ready.called:
            self.ready.callback(self)
        if self._consumer is None and self._producer is not None:
            self._producer.pauseProducing()

    def _close(self, outcome: ReplyEnd | Failure) -> None:
        self._outcome = outcome
        if self._consumer is not None:
            self._tell(self._consumer, outcome)
        elif not self.ready.called:
            if isinstance(outcome, Failure):
                self.ready.errback(outcome)
            else:
                self.ready.callback(self)

    @staticmethod
    def _tell(consumer: IReplyConsumer, outcome: ReplyEnd | Failure) -> None:
        if isinstance(outcome, Failure):
            consumer.replyFailed(outcome)
        else:
            consumer.replyFinished(outcome)


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * 1_000_000_000))
