"""Commands that answer the agent's question whether a tool call may run."""

from functools import partial

from ...seams.oversight import Decision
from ..turns.approvals import is_open, parked_turn, unpark
from .table import Call, command


@command("yes", "<code> [answer]", summary="allow the call that was asked about", group="Gates", waits=True)
async def yes(call: Call) -> str:
    """The calls run, and the turn goes on in this reply."""
    return await _decide(call, "yes")


@command("no", "<code>", summary="refuse the call that was asked about", group="Gates", waits=True)
async def no(call: Call) -> str:
    """The model hears of the refusal, and the turn goes on in this reply."""
    return await _decide(call, "no")


@command("always", "<code>", summary="allow it, and its like in this session", group="Gates", waits=True)
async def always(call: Call) -> str:
    """The gates are opened for the session, the calls run, and the turn goes on in this reply."""
    return await _decide(call, "always")


async def _decide(call: Call, decision: Decision) -> str:
    if decision != "no":
        call.needs_all_rights()
    parked = parked_turn(call.session)
    if parked is None or not parked.code:
        return "No question is open; nothing was run."
    conversation = call.conversation
    if not is_open(call.session, parked, call.clock.seconds(), call.bench.wall()):
        await conversation.give_up(call.session)
        return "That question has expired; nothing was run."
    code, _, answer = call.argument.partition(" ")
    if code.upper() != parked.code or (answer and not parked.asks):
        return "That is not the code of the open question; nothing was run."
    asked = {each.name for each in parked.exchange.pending()}
    if decision != "no" and (missing := sorted(name for name in asked if call.toolbox.get(name) is None)):
        # An MCP server takes a moment to start, and the question may be older than this process.
        return f"Not there at the moment: {', '.join(missing)}. Nothing was run; the question stays open."
    # Before anything runs, so that no crash makes a call run twice.
    unpark(call.session)
    await call.save(surely=True)
    call.turn.then = partial(conversation.resume, call.session, parked, decision, call.turn, answer.strip())
    return ""
