"""The turns under way, of all sessions: those that clients wait for, and those that go on by themselves."""

from collections.abc import Callable, Coroutine, Iterator
from secrets import token_hex
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...seams.errors import StoreError
from ...seams.interfaces import IPeers, IRecorder, ISessionStore
from ...seams.records import LONGEST_NAME, Record
from ...seams.telling import about
from ...seams.types import Caller, ChatTurn
from .job import Job
from .jobs import JOBS, left
from .limits import Limits
from .session import Session
from .turn import Turn

Serve = Callable[[Turn, Caller, ChatTurn], Coroutine[Any, Any, None]]


class Runs:
    """Begins turns and knows them until they are over.

    `serve` is what carries one out, `served` is called at its end; they are set before the first.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        limits: Limits,
        store: ISessionStore,
        peers: IPeers,
        recorder: IRecorder,
    ) -> None:
        self._clock = clock
        self._recorder = recorder
        self._limits = limits
        self._store = store
        self._peers = peers
        self._turns: dict[Turn, Deferred[None]] = {}
        # One for all turns.
        self._over = self._forget
        self.serve: Serve
        self.served: Callable[[Turn], None]

    def __iter__(self) -> Iterator[Turn]:
        return iter(self._turns)

    def begin(self, caller: Caller, asked: ChatTurn) -> Turn:
        """A turn that has not begun to run."""
        return Turn(self._clock, caller, asked, self._limits.retry_wait, self._recorder, self._over)

    def run(self, turn: Turn, caller: Caller, asked: ChatTurn) -> None:
        """Runs it."""
        self.carry(turn, self.serve(turn, caller, asked))

    def carry(self, turn: Turn, work: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Runs a turn of which `work` is all that is to be done; fires once it is over."""
        done = turn.run(work)
        if not turn.is_over:
            self._turns[turn] = done
        return done

    def _forget(self, turn: Turn) -> None:
        self._turns.pop(turn, None)
        self.served(turn)

    def alone(self, job: Job, again: bool = False, cause: Record | None = None) -> Turn:
        """A turn that nobody listens to, and that has not begun; `again` after the process that it began in.

        `cause` is the record of the turn that began it, if that is known.
        """
        turn = self.begin(job.caller, job.asked)
        turn.job, turn.again = job, again
        turn.record = cause or _record_of(job)
        turn.go_on_alone()
        return turn

    def run_alone(self, job: Job, again: bool = False, cause: Record | None = None) -> None:
        """Runs such a turn."""
        self.run(self.alone(job, again, cause), job.caller, job.asked)

    async def take_up(self) -> None:
        """Goes on with the jobs that were under way in processes that have gone."""
        try:
            for session_id in await self._store.holding(JOBS):
                if not self._peers.has_here(session_id):
                    continue
                stored = await self._store.load(session_id, 0)
                if stored is None:
                    continue
                session = Session(Caller(session_id=session_id, address=""), 0, self._clock.seconds)
                session.settings = dict(stored.settings)
                for job in await left(session, self._peers):
                    turn = self.alone(job, again=True)
                    self.log.info(
                        "{turn}{session}: job {number} goes on",
                        turn=about(turn.record.request_id),
                        session=session_id,
                        number=job.number,
                    )
                    self.run(turn, job.caller, job.asked)
        except StoreError as error:
            self.log.warn("jobs that were under way could not be taken up: {error}", error=str(error))

    async def stop(self) -> None:
        """Ends those that run, and returns when all of them are committed."""
        under_way = list(self._turns.values())
        # Those that wait first, or each would begin when the one before it ends.
        for turn in reversed(list(self._turns)):
            turn.put_off = True
            turn.cancel()
        await DeferredList(under_way)


def _record_of(job: Job) -> Record:
    """What is known of a job whose message came to a process that has gone."""
    caller = job.caller
    return Record(
        request_id=f"job_{token_hex(8)}",
        session_id=caller.session_id,
        caller=caller.source[:LONGEST_NAME],
        profile=caller.profile,
        address=caller.address,
        named_by=caller.named_by[:LONGEST_NAME],
    )
