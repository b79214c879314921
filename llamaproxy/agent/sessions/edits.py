"""What the app's own history tells: whether its user went back to an earlier message, to change it or to ask it again.

The agent keeps the conversation, and takes nothing of the app's but the newest message. Yet the user edits and
regenerates in the app, where the messages after that point are gone then; so they must go here, too. A message that a
client sends once more because it got no answer stands in for its former self as well.
"""

from collections.abc import Sequence

from ...seams.types import ChatTurn, Mark, Message
from .history import last_turn_start


def mark_of(messages: Sequence[Message], trail: Sequence[str]) -> Mark | None:
    """The mark of a message with that `trail`, to be stored after `messages`; None if the app shows no history."""
    if len(trail) < 2:
        return None
    latest = next((message.mark for message in reversed(messages) if message.role == "user"), None)
    linked = latest is not None and latest.after in trail[:-1]
    return Mark(before=trail[-2], after=trail[-1], linked=linked)


def rewind_point(messages: Sequence[Message], asked: ChatTurn) -> int | None:
    """How many of `messages` come before the one that `asked` stands in for; None for a new one.

    It does if the app showed the same history before both, and all that was said since belongs to the same chat.
    Commands stand in the app's history, and so on both sides. When in doubt, it is a new one: several chats may
    share a session, and some programs send the same beginning with every question.
    """
    trail = asked.trail
    if len(trail) < 2:
        return None
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role != "user":
            continue
        if message.mark is None:
            return None
        if message.mark.before == trail[-2]:
            same = not is_first(trail) or _is_asked_again(messages, index, asked)
            return index if same else None
        if not message.mark.linked:
            return None
    return None


def retry_point(messages: Sequence[Message], asked: ChatTurn, text: str) -> int | None:
    """Where the last turn begins in `messages` if `asked`, whose prompt is `text`, is another try of its message.

    For a message that shows no other before it, that is sure only if the turn was cut short: programs ask the same
    question once an hour.
    """
    index = last_turn_start(messages)
    if not asked.attempt or not messages or messages[index].role != "user":
        return None
    before, mark = messages[index], messages[index].mark
    if len(asked.trail) < 2:
        same, sure = mark is None and before.content == text, False
    else:
        same, sure = mark is not None and mark.after == asked.trail[-1], not is_first(asked.trail)
    return index if same and (sure or messages[-1].interrupted) else None


def rounds_of(turn: Sequence[Message]) -> list[Message]:
    """The rounds of tools in the messages of a turn."""
    return [message for message in turn if message.tool_calls or message.role == "tool"]


def is_first(trail: Sequence[str]) -> bool:
    """Whether the app shows nothing of the user's before the message."""
    return len(trail) == 2 and trail[0] == ""


def _is_asked_again(messages: Sequence[Message], index: int, asked: ChatTurn) -> bool:
    """Whether a chat's first message is the one at `index` once more, and neither a new chat nor a program that never
    sends a history: it is word for word the last that was said, and it was cut short, or the app is known to send one.
    """
    mark = messages[index].mark
    if mark is None or mark.after != asked.trail[-1] or any(m.role == "user" for m in messages[index + 1 :]):
        return False
    if messages[-1].interrupted or asked.shows_history:
        return True
    return any(m.mark is not None and m.mark.before for m in messages)
