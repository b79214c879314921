"""Commands about turns that go on while nobody listens."""

from functools import partial

from ...seams.types import ChatTurn
from ..sessions.job import Job
from ..sessions.jobs import DETACH, drop_jobs, jobs_of, new_job
from ..sessions.turn import Turn
from .table import Call, UsageError, command, required_truth, whole_number

MOST_JOBS = 16


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
    call.runs.run_alone(job)
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


def stop_job(call: Call) -> str:
    """Ends the job whose number is the argument."""
    number = whole_number(call.argument, 1, 2**31)
    turn = next((turn for turn in call.session.turns if turn.job and turn.job.number == number), None)
    if turn is None:
        return f"Job {number} does not run. !jobs lists them."
    turn.stop()
    return f"Job {number} is stopped."


def turn_of(call: Call, job: Job) -> Turn | None:
    """The turn of a job, if it runs or waits."""
    return next((turn for turn in call.session.turns if turn.job and turn.job.number == job.number), None)


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
    if turn is None or turn is not call.session.running:
        return "waits"
    return f"runs, {turn.progress()}"
