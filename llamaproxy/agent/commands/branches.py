"""Commands about the branches of a conversation, which begin where a message was edited or asked again in the app."""

from ...seams.types import Branch
from ..turns.approvals import WITHDRAWN
from .table import Call, command, whole_number

# Branches that are listed, the newest ones.
LISTED = 20
# Characters of a branch's first words.
WORDS = 60


@command("undo", summary="go back to what was before the last edit or new answer", group="Chat", waits=True)
async def undo(call: Call) -> str:
    """Goes on with the branch that was the active one before."""
    await call.conversation.give_up(call.session, WITHDRAWN)
    if not await call.branches.step_back(call.session):
        return "There is nothing to go back to. !branches lists what there is."
    return f"{await _standing(call)} !branches lists all."


@command("branches", summary="list the branches of this conversation", group="Chat")
async def branches(call: Call) -> str:
    """Lists the branches with the first words of each."""
    found = await call.store.branches(call.session.session_id)
    if not found:
        return "Nothing has been said yet."
    lines = [_line(each) for each in found[-LISTED:]]
    if len(found) > LISTED:
        lines.insert(0, f"({len(found) - LISTED} older ones)")
    return "\n".join(["Branches, each with its first words:", *lines, "!branch <n> takes one up."])


@command("branch", "<n>", summary="go on with that branch of this conversation", group="Chat", waits=True)
async def branch(call: Call) -> str:
    """Takes up a branch."""
    number = whole_number(call.argument, 1, 2**31)
    await call.conversation.give_up(call.session, WITHDRAWN)
    if not await call.branches.take_up(call.session, number):
        return f"There is no branch {number}. !branches lists them."
    return await _standing(call)


async def _standing(call: Call) -> str:
    """Says where the conversation is now, and that what the app shows from before says nothing about it any more."""
    if call.turn.place:
        call.branches.choose(call.session, call.turn.place)
        await call.save()
    session = call.session
    last = next((message.content for message in reversed(session.messages) if message.role == "user"), "")
    where = f"On branch {session.branch}, {_messages(session.message_count)}"
    return f"{where}; the last of yours: {_first_words(last) or '(none)'}."


def _line(each: Branch) -> str:
    mark, own = "*" if each.active else "-", each.length - each.begins
    where = f"after message {each.begins}" if each.begins else "from the beginning"
    return f"{mark} {each.number}: {_first_words(each.words) or '(a picture)'} ({_messages(own)} {where})"


def _messages(count: int) -> str:
    return f"{count} message{'' if count == 1 else 's'}"


def _first_words(text: str) -> str:
    line = " ".join(text[: 4 * WORDS].split())
    return line if len(line) <= WORDS else f"{line[: WORDS - 3]}..."
