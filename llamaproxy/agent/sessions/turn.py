"""One turn under way: a reply, the coroutine that makes it, and the ways it can end early."""

from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...seams.apps import FOREVER, AppSide
from ...seams.errors import AgentError, let_go
from ...seams.gates import Need
from ...seams.interfaces import IRecorder, IReply
from ...seams.records import Ending, Record
from ...seams.tasks import Task
from ...seams.types import Caller, ChatTurn, Message
from ..replies.elsewhere import Elsewhere
from ..replies.relay import relay
from ..replies.reply import Reply
from .job import Job

# Seconds after its end for which another try of a message gets the answer that its turn had.
MEMORY = 120.0

T = TypeVar("T")


class Turn:
    """Runs a coroutine that writes into `reply`, and sees to it that the reply always ends, exactly once.

    A client that left before it was told anything is waited for, if it counts its tries, for `patience` seconds.

    `stopped` says that the user asked for the end (`!stop`): the reply then ends well. A client that left is
    owed nothing; `cancelled` is true for both, and for one that was broken off as something is `lost`. With
    `gates_open`, no tool call has to pass a gate; `leave` are
    the gates that the user was asked about and let a waiting call pass, `answer` is what they said to a tool's
    question. `then` is what a command leaves to be done once it has answered. A turn is `late` if others of its
    session ran or waited when its message came, which so knows nothing of their answers. What is done is noted in
    `record`: the newest client's, or one of the turn's own once that has left, which the `recorder` gets.

    A turn `stays` for so many seconds after its last client has left; it is `alone` then. One that stays to its end is
    a `job`, which goes on `again` after the process that it began in, and is `put_off` when that ends. `rounds` are
    those of its tools, `told` the jobs whose answers it tells first. `over` is called with it at its end.
    """

    __slots__ = (
        "_asked",
        "_began",
        "_clock",
        "_elsewhere",
        "_ended",
        "_giving_up",
        "_patience",
        "_recorder",
        "_running",
        "_sealed",
        "_tell_over",
        "_to_end",
        "again",
        "alone",
        "answer",
        "caller",
        "cancelled",
        "gates_open",
        "job",
        "late",
        "leave",
        "lost",
        "put_off",
        "record",
        "reply",
        "rounds",
        "stays",
        "stopped",
        "then",
        "told",
    )

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        caller: Caller,
        asked: ChatTurn,
        patience: float,
        recorder: IRecorder,
        over: Callable[["Turn"], None],
    ) -> None:
        self.caller = caller
        self.reply = Reply(clock, self._leave)
        self.record = asked.record or Record()
        self.stopped = self.cancelled = False
        self.lost: AgentError | None = None
        self.gates_open = self.late = False
        self.stays = caller.allowance.on_disconnect
        self.alone = self.again = self.put_off = False
        self.job: Job | None = None
        self.rounds = 0
        self.told: tuple[int, ...] = ()
        self.leave: Collection[Need] = ()
        self.answer: str | None = None
        self.then: Callable[[], Awaitable[None]] | None = None
        self._clock = clock
        self._recorder = recorder
        self._tell_over = over
        self._asked = asked
        self._patience = patience
        self._giving_up: IDelayedCall | None = None
        self._began = clock.seconds()
        self._elsewhere: Elsewhere | None = None
        self._ended: float | None = None
        self._sealed = self._to_end = False
        self._running: Deferred[None] | None = None

    def run(self, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Starts the work; fires when it is over, never fails."""
        self._running = Task(work)
        return self._running.addBoth(self._over)

    def join(self, asked: ChatTurn) -> Deferred[IReply]:
        """A client that sent the turn's message, or sent it again; fires as `IAgent.turn` does."""
        self._asked = asked
        self._wait_no_more()
        self.alone = False
        if asked.record is not None and asked.record is not self.record:
            earlier, self.record = self.record, asked.record
            asked.record.take_over(earlier)
            if earlier.alone:
                self._close(earlier, "left", f"came again, as {asked.record.request_id}")
        return self.reply.join()

    def is_for(self, caller: Caller, asked: ChatTurn) -> bool:
        """Whether `asked` is the turn's own message once more, and not the same words for a second time.

        Prompts that show no history do not tell the two apart, unless the client itself does.
        """
        if caller != self.caller or not asked.repeats(self._asked):
            return False
        if self._ended is None and not self.reply.closed:
            return not self.cancelled and bool(asked.trail or asked.attempt)
        return (
            self.reply.complete and (asked.attempt or 0) > (self._asked.attempt or 0) and not self.forgotten
        )

    @property
    def forgotten(self) -> bool:
        """Whether it ended so long ago that no try of its message is answered from it any more."""
        return self._ended is not None and self._clock.seconds() >= self._ended + MEMORY

    @property
    def digest(self) -> str:
        """That of its message."""
        return self._asked.digest()

    @property
    def attempt(self) -> int:
        """How often its client has sent the message already, as far as it says so."""
        return self._asked.attempt or 0

    @property
    def is_told_apart(self) -> bool:
        """Whether the message can be known again, and told from the same words for a second time."""
        return bool(self._asked.trail or self._asked.attempt)

    def is_about(self, question: Message) -> bool:
        """Whether its message is that one of the history."""
        asked, mark = self._asked, question.mark
        if asked.app.results:
            return False
        if len(asked.trail) < 2:
            return mark is None and question.content == asked.text.strip()
        return mark is not None and mark.after == asked.trail[-1]

    @property
    def place(self) -> str:
        """Where its message stands in the app's history; "" if the app shows none."""
        return self._asked.trail[-1] if self._asked.trail else ""

    @property
    def deserted(self) -> bool:
        """Whether it goes on only in case that its client comes again, here or elsewhere."""
        if self.alone:
            return False
        return self._giving_up is not None or (self._elsewhere is not None and self.reply.clients < 2)

    def go_on_alone(self) -> None:
        """Nobody listens to it any more, or yet."""
        self._go_on_unheard()
        self.alone = True
        self.reply.go_on_alone()

    async def follow(self, other: "Turn") -> None:
        """Returns once this turn's client has heard all of another one's reply."""
        other.alone = False
        # Who only looks on ends nothing by leaving.
        self.stays = 0.0
        await relay(other.reply.join, self.reply)

    def progress(self) -> str:
        """How far it is, in words."""
        rounds = f"{self.rounds} round{'' if self.rounds == 1 else 's'} of tools"
        return f"{rounds} in {self._clock.seconds() - self._began:.0f} s"

    def cancel(self) -> None:
        """Ends the turn as soon as may be: at once, unless it is being committed."""
        self._wait_no_more()
        if self._running is None:
            return
        if self._sealed:
            self._to_end = True
            return
        self.cancelled = True
        self._running.cancel()

    def stop(self) -> None:
        """Ends the turn at the user's wish."""
        self.stopped = True
        self.cancel()

    def keep(self) -> None:
        """Goes on to its end, as its client waits for it in another process."""
        if self._elsewhere is None and not self.reply.closed:
            self._wait_no_more()
            self._elsewhere = Elsewhere(self.reply.join())

    def break_off(self, error: AgentError) -> None:
        """Ends the turn because of what its client is told then."""
        self.lost = error
        self.cancel()

    def seal(self) -> None:
        """From here on the turn is being committed, and nothing cancels it any more."""
        self._sealed = True

    def since_start(self) -> float:
        """Seconds since the request came, for the record."""
        return self._clock.seconds() - self.record.start

    async def undisturbed(self, work: Awaitable[T]) -> T:
        """What comes of `work`, which is not cancelled in the middle. Raises `CancelledError` behind it instead."""
        self._sealed, self._to_end = True, False
        try:
            result = await work
        finally:
            self._sealed = False
        if self._to_end:
            self.cancelled = True
            raise CancelledError
        return result

    async def disturbed(self, work: Awaitable[T]) -> T:
        """What comes of `work`, which the user may end although the turn is sealed. Raises `CancelledError` then."""
        self._sealed = False
        if self._to_end:
            self.cancelled = True
            raise CancelledError
        return await work

    @property
    def is_over(self) -> bool:
        """Whether all of its work is done."""
        return self._ended is not None

    def _go_on_unheard(self) -> None:
        """From here on, what is done is noted in a record of the turn's own: the client's ends with its request."""
        if self.record.alone:
            return
        earlier, self.record = self.record, self.record.unheard(self._clock.seconds())
        self._recorder.begin(self.record)
        if self._running is not None:
            self.record.take_over(earlier)

    def _close(self, record: Record, end: Ending, reason: str = "") -> None:
        record.seconds = self._clock.seconds() - record.start
        record.break_off(end, reason)
        self._recorder.end(record)

    @property
    def app(self) -> AppSide:
        """What the app brings along."""
        return self._asked.app

    def _leave(self, heard: bool) -> None:
        if self._ended is not None:
            return
        if self.stays or self.job is not None:
            self.go_on_alone()
            if self.stays < FOREVER and self.job is None:
                self._giving_up = self._clock.callLater(self.stays, self.cancel)
        elif heard or self._asked.attempt is None or not self._patience:
            self.cancel()
        else:
            self._go_on_unheard()
            self._giving_up = self._clock.callLater(self._patience, self.cancel)

    def _wait_no_more(self) -> None:
        giving_up, self._giving_up = self._giving_up, None
        if giving_up is not None and giving_up.active():
            giving_up.cancel()

    def _over(self, failure: Failure | None) -> None:
        if failure is not None:
            self._broken(failure)
        self._ended = self._clock.seconds()
        self._wait_no_more()
        # Where no client is left, nobody else says so to the recorder.
        if self.record.alone:
            self._close(self.record, "done")
        self._tell_over(self)

    def _broken(self, failure: Any) -> None:
        if failure.check(AgentError):
            self.log.warn(
                "turn {id} ended with an error: {error}", id=self.record.request_id, error=str(failure.value)
            )
            self.record.break_off("failed", f"{failure.value.code}: {failure.value}")
            self.reply.fail(failure.value)
        elif failure.check(CancelledError):
            self.record.break_off("stopped" if self.stopped else "left")
            if self.lost is not None:
                self.reply.fail(self.lost)
            elif self.stopped:
                self.reply.say("\n\n[stopped]" if self.reply.transcript else "[stopped]")
                self.reply.finish()
        else:
            self.log.failure("turn {id} failed", failure, id=self.record.request_id)
            self.record.break_off("failed", "internal")
            self.reply.fail(AgentError("The agent failed on this message. The server's log says why."))
        # Tracebacks hold themselves, and all that the turn had, until the garbage collector comes.
        let_go(failure.value)
        failure.cleanFailure()
