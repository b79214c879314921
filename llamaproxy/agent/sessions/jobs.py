"""Turns that outlive their connection, as the settings of their session keep them: those under way, and the answers of
those that ended while nobody listened.
"""

import msgspec
from msgspec import ValidationError
from msgspec.structs import replace

from ...seams.interfaces import IPeers
from ...seams.types import Caller, ChatTurn
from .job import Job
from .session import Session

# In the session's settings: the jobs, how many there have been, and whether the user wants turns to go on.
JOBS = "jobs"
COUNT = "jobs_begun"
DETACH = "detach"
# Characters of an answer that is kept.
LONGEST_ANSWER = 64 * 1024
# Answers that wait to be told; of more the oldest are in the history only.
MOST_WAITING = 8


def jobs_of(session: Session) -> list[Job]:
    """The session's jobs, oldest first."""
    if JOBS not in session.settings:
        return []
    try:
        return msgspec.convert(session.settings[JOBS], list[Job])
    except ValidationError:  # written by another version
        return []


async def left(session: Session, peers: IPeers) -> list[Job]:
    """The jobs under way of processes that have gone. Raises `StoreError`."""
    open_jobs = [job for job in jobs_of(session) if job.answer is None]
    gone = await peers.gone({job.by for job in open_jobs}) if open_jobs else ()
    return [job for job in open_jobs if job.by in gone]


def new_job(session: Session, caller: Caller, asked: ChatTurn, by: int) -> Job:
    """Writes a job of the process `by` down; the settings are to be saved then."""
    number = session.settings[COUNT] = int(session.settings.get(COUNT, 0)) + 1
    asked = replace(asked, record=None)
    job = Job(number=number, caller=caller, asked=asked, before=session.message_count, by=by)
    put_job(session, job)
    return job


def put_job(session: Session, job: Job) -> None:
    """Writes down what has become of a job; the settings are to be saved then."""
    others = [each for each in jobs_of(session) if each.number != job.number]
    told = [each for each in others if each.answer is not None][-MOST_WAITING + 1 :]
    kept = [each for each in others if each.answer is None or each in told]
    session.settings[JOBS] = msgspec.to_builtins(sorted([*kept, job], key=lambda each: each.number))


def drop_jobs(session: Session, *numbers: int) -> None:
    """Forgets jobs; the settings are to be saved then."""
    kept = [each for each in jobs_of(session) if each.number not in numbers]
    if kept:
        session.settings[JOBS] = msgspec.to_builtins(kept)
    else:
        session.settings.pop(JOBS, None)


def answer_given(session: Session, job: Job) -> str | None:
    """What the history has as the answer to a job; None if it has none, or one that was cut short."""
    turns = session.kept.turns
    if not turns or session.message_count <= job.before:
        return None
    last = turns[-1]
    place = job.asked.trail[-1] if job.asked.trail else ""
    question = session.kept.since(last.start)[0]
    same = last.mark.after == place if place else question.content == job.asked.text.strip()
    return session.messages[-1].content if same and not last.interrupted else None
