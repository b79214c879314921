"""What happens while nobody listens: turns go on, their answers wait, and the next message is told of them first."""

from msgspec.structs import replace
from zope.interface import implementer

from ..seams.apps import FOREVER
from ..seams.interfaces import INotifier, IPeers, ISessionStore
from ..seams.types import ChatTurn
from .sessions.job import Job
from .sessions.jobs import (
    DETACH,
    JOBS,
    LONGEST_ANSWER,
    answer_given,
    drop_jobs,
    jobs_of,
    left,
    new_job,
    put_job,
)
from .sessions.session import Session
from .sessions.stored import soon
from .sessions.turn import Turn
from .turns.approvals import parked_turn

STILL = (
    '[Job {number} still runs: "{words}", {progress}. !resume {number} shows it, !stop {number} ends it. '
    "Your message waits for it.]\n\n"
)
ANSWERED = '[While you were away, your message "{words}" was answered:]\n\n{answer}\n\n'
NOW = "[And now to your message:]\n\n"


@implementer(INotifier)
class Nobody:
    """Nobody is told elsewhere."""

    def notify(self, address: str, words: str, asks: bool) -> None:
        """See `INotifier`."""


class Meanwhile:
    """Keeps the jobs of sessions; `notifier` tells their owners elsewhere, `peers` say whose jobs they are."""

    def __init__(self, store: ISessionStore, notifier: INotifier, peers: IPeers) -> None:
        self._store = store
        self._notifier = notifier
        self._peers = peers

    async def left_behind(self, session: Session, running: Turn) -> list[Job]:
        """The jobs of processes that have gone, which nobody has now; before one that is `running`, if that is one."""
        if JOBS not in session.settings:
            return []
        end = running.job.number if running.job is not None else None
        return [job for job in await left(session, self._peers) if end is None or job.number < end]

    async def take_over(self, session: Session, running: Turn) -> bool:
        """Whether the job that is to go on still is one of a process that has gone; it is this one's then."""
        known = running.job.number if running.job is not None else None
        job = next((job for job in await left(session, self._peers) if job.number == known), None)
        if job is None:
            running.job = None
            return False
        running.job = replace(job, by=self._peers.number)
        put_job(session, running.job)
        await self._save(session)
        return True

    def tell_running(self, session: Session, running: Turn) -> None:
        """Says that the session is busy with a turn that nobody listens to, if it is."""
        other = session.running
        if other is not None and other.alone and other.job is not None and not running.alone:
            job = other.job
            running.reply.say(STILL.format(number=job.number, words=job.words, progress=other.progress()))

    async def begin(self, session: Session, running: Turn, asked: ChatTurn) -> None:
        """Writes a turn down that is to outlive its connection, before it does anything."""
        wish = session.settings.get(DETACH)
        if wish is not None and running.job is None:
            running.stays = FOREVER if wish else 0.0
        if running.stays >= FOREVER and running.job is None:
            running.job = new_job(session, running.caller, asked, self._peers.number)
            await self._save(session)

    async def over(self, session: Session, running: Turn, failure: str = "") -> None:
        """A turn has ended: its answer waits if nobody has heard it, and what it told does so no more."""
        job, running.job = running.job, None
        if running.put_off or running.lost is not None or (job is None and not running.told):
            return
        if running.stopped or not running.cancelled:
            # Not before: whoever left in the middle of it, or was cut off, may not have heard it.
            drop_jobs(session, *running.told)
        if job is not None:
            if running.alone and not (running.cancelled or running.stopped):
                put_job(session, replace(job, answer=self._answer(running, failure)))
                parked = parked_turn(session)
                asks = parked is not None and bool(parked.code)
                self._notifier.notify(job.caller.allowance.notify, job.words, asks)
            else:
                drop_jobs(session, job.number)
        await self._save(session)

    async def tell(self, session: Session, running: Turn, asked: ChatTurn) -> bool:
        """Tells what came meanwhile; whether that is all that the message asks for, as it is the same once more.

        A program that wants JSON, or sends results of its tools, is told nothing beside that, nor is one that never
        listened (`!bg`). A turn whose client has left may tell all the same: the client sends its message again, and
        listens to this very reply then.
        """
        if running.again and running.job is not None:
            given = answer_given(session, running.job)
            if given is not None:
                running.reply.say(given)
                return True
        if (
            (running.alone and not asked.trail)
            or asked.app.results
            or asked.options.json_schema is not None
            or running.caller.depth
        ):
            return False
        waiting = [job for job in jobs_of(session) if job.answer is not None]
        if not waiting:
            return False
        same = next((job for job in waiting if job.is_of(asked)), None)
        running.told = tuple(job.number for job in waiting)
        others = [job for job in waiting if job is not same]
        for job in others:
            running.reply.say(ANSWERED.format(words=job.words, answer=job.answer))
        if others:
            running.reply.say(NOW)
        if same is not None:
            running.reply.say(same.answer or "")
        return same is not None

    def _answer(self, running: Turn, failure: str) -> str:
        text = running.reply.text()
        return "\n\n".join(filter(None, [text, failure and f"[error: {failure}]"]))[:LONGEST_ANSWER]

    async def _save(self, session: Session) -> None:
        await soon(self._store.save_settings(session.session_id, session.model, session.settings), None)
