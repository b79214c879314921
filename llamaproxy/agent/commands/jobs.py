"""Commands about turns that go on while nobody listens."""

from functools import partial

from twisted.internet.task import deferLater

from ...seams.types import ChatTurn
from ..sessions.job import Job
from ..sessions.jobs import DETACH, drop_jobs, jobs_of, new_job
from ..sessions.turn import Turn
from .table import Call, UsageError, command, required_truth, whole_number

MOST_JOBS = 16
# Seconds between two looks whether a job that goes on in another process has its answer.
LOOK = 0.5


@command("bg", "<text>", summary="answer a message in the background", group="Chat")
async def background(call: Call) -> str:
    """Begins a turn that nobody listens to."""
    if not call.argument:
        raise UsageError("A message is needed.")
    session, caller = call.session, call.turn.caller
    if sum(job.answer is None for job in jobs_of(session)) >= MOST_JOBS:
        return f"{MOST_JOBS} jobs are under way already. !jobs lists them."
    job = new_job(session, caller, ChatTurn(text=call.argument, commandable=False), call.peers.number)
    await call.save(surely=True)
    call.runs.run_alone(job, cause=call.turn.record)
    number = job.number
    return (
        f"Job {number} begins. Your next message is told its answer; !resume {number} shows it, "
        f"!stop {number} ends it."
    )


@command("jobs", summary="list what goes on or has ended in the background", group="Chat")
async def jobs(call: Call) -> str:
    """Lists the jobs of the session."""
    lines = [f"{job.number} {_state(call, job)}: {job.words}" for job in jobs_of(call.session)]
    return "\n".join(["Jobs:", *lines]) if lines else "There are no jobs. !bg <text> begins one."


@command("resume", "[n]", summary="show a job from its beginning, and then live", group="Chat")
async def resume(call: Call) -> str:
    """Shows the newest job, or the one of that number."""
    job = _job(call, call.argument)
    if job is None:
        return "There is no such job. !jobs lists them."
    turn = turn_of(call, job)
    if turn is not None:
        call.turn.then = partial(call.turn.follow, turn)
        return ""
    if job.answer is None and await _goes_on_elsewhere(call, job):
        call.turn.then = partial(_tell_once_it_is_done, call, job.number)
        return ""
    if job.answer is None:
        return f"Job {job.number} waits to begin."
    drop_jobs(call.session, job.number)
    await call.save()
    return job.answer


@command("detach", "[on|off]", summary="whether a turn goes on when you close the app", group="Chat")
async def detach(call: Call) -> str:
    """Shows or sets it for the session."""
    if call.argument:
        word = {"on": "true", "off": "false"}.get(call.argument.lower(), call.argument)
        call.session.settings[DETACH] = required_truth(word)
        await call.save()
    wish = call.session.settings.get(DETACH)
    if wish is None:
        wish = call.turn.caller.allowance.on_disconnect > 0
    return "A turn goes on when you close the app." if wish else "A turn ends when you close the app."


async def stop_job(call: Call) -> str:
    """Ends the job whose number is the argument, wherever it goes on."""
    number = whole_number(call.argument, 1, 2**31)
    turn = next((turn for turn in call.session.turns if turn.job and turn.job.number == number), None)
    if turn is not None:
        turn.stop()
    elif not (
        any(job.number == number and job.answer is None for job in jobs_of(call.session))
        and await call.peers.stop_turn(call.session.session_id, number)
    ):
        return f"Job {number} does not run. !jobs lists them."
    return f"Job {number} is stopped."


def turn_of(call: Call, job: Job) -> Turn | None:
    """The turn of a job, if it runs or waits."""
    return next((turn for turn in call.session.turns if turn.job and turn.job.number == job.number), None)


async def _goes_on_elsewhere(call: Call, job: Job) -> bool:
    return job.by != call.peers.number and job.by not in await call.peers.gone({job.by})


async def _tell_once_it_is_done(call: Call, number: int) -> None:
    """Waits for a job of another process, which may end and leave the job to this one."""
    session, reply = call.session, call.turn.reply
    while (job := _job(call, str(number))) is not None and job.answer is None:
        if (turn := turn_of(call, job)) is not None:
            await call.turn.follow(turn)
            return
        await deferLater(call.clock, LOOK)
        await call.claims.look(session)
        await call.sessions.load(session, call.limits.history_max_ctx)
    if job is None:
        reply.say(f"Job {number} is over, and nothing of it waits to be told.")
    else:
        drop_jobs(session, number)
        await call.save()
        reply.say(job.answer or "")
    reply.finish()


def _job(call: Call, argument: str) -> Job | None:
    found = jobs_of(call.session)
    if argument:
        number = whole_number(argument, 1, 2**31)
        found = [job for job in found if job.number == number]
    return found[-1] if found else None


def _state(call: Call, job: Job) -> str:
    if job.answer is not None:
        return "has its answer"
    turn = turn_of(call, job)
    if turn is None and job.by != call.peers.number:
        return "goes on in another process"
    if turn is None or turn is not call.session.running:
        return "waits"
    return f"runs, {turn.progress()}"
