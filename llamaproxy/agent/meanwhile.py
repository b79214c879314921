"""What happens while nobody listens: turns go on, their answers wait, and the next message is told of them first."""

from msgspec.structs import replace
from zope.interface import implementer

from ..seams.apps import FOREVER
from ..seams.interfaces import INotifier, ISessionStore
from ..seams.types import ChatTurn
from .sessions.jobs import (
    DETACH,
    LONGEST_ANSWER,
    answer_given,
    drop_jobs,
    jobs_of,
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
    """Keeps the jobs of sessions; `notifier` tells their owners elsewhere."""

    def __init__(self, store: ISessionStore, notifier: INotifier) -> None:
        self._store = store
        self._notifier = notifier

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
            running.job = new_job(session, running.caller, asked)
            await self._save(session)

    async def over(self, session: Session, running: Turn, failure: str = "") -> None:
        """A turn has ended: its answer waits if nobody has heard it."""
        job, running.job = running.job, None
        if job is None or running.put_off:
            return
        if running.alone and not (running.cancelled or running.stopped):
            text = running.reply.text()
            answer = "\n\n".join(filter(None, [text, failure and f"[error: {failure}]"]))[:LONGEST_ANSWER]
            put_job(session, replace(job, answer=answer))
            parked = parked_turn(session)
            asks = parked is not None and bool(parked.code)
            self._notifier.notify(job.caller.allowance.notify, job.words, asks)
        else:
            drop_jobs(session, job.number)
        await self._save(session)

    async def tell(self, session: Session, running: Turn, asked: ChatTurn) -> bool:
        """Tells what came meanwhile; whether that is all that the message asks for, as it is the same once more.

        A program that wants JSON, or sends results of its tools, is told nothing beside that.
        """
        if running.again and running.job is not None:
            given = answer_given(session, running.job)
            if given is not None:
                running.reply.say(given)
            return given is not None
        if (
            running.alone
            or asked.app.results
            or asked.options.json_schema is not None
            or running.caller.depth
        ):
            return False
        waiting = [job for job in jobs_of(session) if job.answer is not None]
        if not waiting:
            return False
        same = next((job for job in waiting if job.is_of(asked)), None)
        told = [same] if same is not None else waiting
        drop_jobs(session, *(job.number for job in told))
        await self._save(session)
        if same is not None:
            running.reply.say(same.answer or "")
            return True
        for job in told:
            running.reply.say(ANSWERED.format(words=job.words, answer=job.answer))
        running.reply.say(NOW)
        return False

    async def _save(self, session: Session) -> None:
        await soon(self._store.save_settings(session.session_id, session.model, session.settings), None)
