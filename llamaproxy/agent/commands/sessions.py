"""Commands about the caller's own session and those of others."""

from twisted.internet.task import deferLater

from ...seams.types import SessionCard
from ..turns.approvals import WITHDRAWN, parked_turn, unpark
from .jobs import stop_job
from .table import Call, UsageError, command, whole_number

LONGEST_SLEEP = 300


@command("help", "[command]", summary="this list, or more about one command", group="Chat")
async def show_help(call: Call) -> str:
    """Lists all commands by group, short enough for a phone, or explains one."""
    commands = call.catalog
    if call.argument:
        entry = commands.find(call.argument.lstrip("!"))
        return f"{entry.line}\n{entry.summary}" if entry else f"There is no command '{call.argument}'."
    return commands.overview(call.turn.caller.owner)


@command("reset", summary="forget this conversation", group="Chat", waits=True)
async def reset(call: Call) -> str:
    """Clears the session's history, here and in the store."""
    count = await call.eraser.forget(call.session)
    if parked_turn(call.session) is not None:
        unpark(call.session)
        await call.save()
    call.session.meter.reset()
    return f"Forgotten: {count} message{'' if count == 1 else 's'}."


@command("whoami", summary="your session, what decided it, and your rights", group="Chat")
async def whoami(call: Call) -> str:
    """Says what the agent knows of the caller."""
    caller, session = call.turn.caller, call.session
    rights = {"all": "all commands", "safe": "commands about your own conversation", "none": "no commands"}
    lines = [
        f"Session: {session.session_id} ({session.short_id}), by {caller.named_by}",
        f"Address: {caller.address}",
        *([f"Profile: {caller.profile}"] if caller.profile else ()),
        f"Rights: {rights[caller.rights]}{', as the operator' if caller.owner else ''}",
    ]
    return "\n".join(lines)


@command("stop", "[n]", summary="end the reply that is being written, or a job", group="Chat", one_line=True)
async def stop(call: Call) -> str:
    """Cancels the session's running turn, or the job of that number."""
    if call.argument.isdecimal():
        return await stop_job(call)
    running = call.session.running
    if running is None or running is call.turn:
        if await call.peers.stop_turn(call.session.session_id, 0):
            return "Stopped."
        if parked_turn(call.session) is None:
            return "Nothing is running."
        await call.conversation.give_up(call.session, WITHDRAWN)
        return "Stopped; the question is withdrawn."
    running.stop()
    return "Stopped."


@command("sleep", "<1-300>", summary="wait that many seconds", group="Chat", waits=True)
async def sleep(call: Call) -> str:
    """Waits; the session's next message waits, too."""
    seconds = whole_number(call.argument, 1, LONGEST_SLEEP)
    await deferLater(call.clock, seconds)
    return f"Slept for {seconds} s."


@command("session", "[<id> delete]", summary="list the sessions, or delete one", group="Chat")
async def session(call: Call) -> str:
    """Lists the live sessions or deletes one by its short or full id."""
    if not call.argument:
        return "Sessions:\n" + "\n".join([_line(call, card) for card in await _visible(call)])
    match call.argument.split():
        case [_, action] if action.lower() == "attach":
            return "A chat app cannot attach to another session: its own is made from its address."
        case [session_id, action] if action.lower() == "delete":
            return await _delete(call, session_id)
    raise UsageError(f"'{call.argument}' is not something that !session does.")


async def _visible(call: Call) -> list[SessionCard]:
    """The sessions that the caller may know of: who else talks here is not for those with fewer rights."""
    if call.turn.caller.rights != "all":
        return [call.session.card]
    here = [each.card for each in call.sessions]
    return sorted([*here, *await call.peers.sessions()], key=lambda card: card.short_id)


def _line(call: Call, card: SessionCard) -> str:
    mark = "*" if card.session_id == call.session.session_id else "-"
    return f"{mark} {card.short_id} {card.session_id}: {card.model}, {card.message_count} messages, {card.address}"


async def _delete(call: Call, session_id: str) -> str:
    if call.sessions.get(session_id) is not call.session:
        call.needs_operator()
    removed = await call.eraser.remove(session_id, call.turn)
    return f"Deleted: {removed}" if removed else f"There is no session '{session_id}'. !session lists them."
