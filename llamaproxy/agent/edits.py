"""What the app's own history tells: whether its user went back to an earlier message, to change it or to ask it again.

The agent keeps the conversation, and takes nothing of the app's but the newest message. Yet the user edits and
regenerates in the app, where the messages after that point are gone then; so they must go here, too.
"""

from collections.abc import Sequence

from .types import Mark, Message


def mark_of(messages: Sequence[Message], trail: Sequence[str]) -> Mark | None:
    """The mark of a message with that `trail`, to be stored after `messages`; None if the app shows no history."""
    if len(trail) < 2:
        return None
    latest = next((message.mark for message in reversed(messages) if message.role == "user"), None)
    linked = latest is not None and latest.after in trail[:-1]
    return Mark(before=trail[-2], after=trail[-1], linked=linked)


def rewind_point(messages: Sequence[Message], trail: Sequence[str]) -> int | None:
    """How many of `messages` come before the one that a message with this `trail` stands in for; None for a new one.

    It does if the app showed the same history before both, and all that was said since belongs to the same chat.
    Commands stand in the app's history, and so on both sides. When in doubt, it is a new one: several chats may
    share a session, and some programs send the same beginning with every question.
    """
    if len(trail) < 2:
        return None
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if message.role != "user":
            continue
        if message.mark is None:
            return None
        if message.mark.before == trail[-2]:
            same = not is_first(trail) or _is_asked_again(messages, index, trail)
            return index if same else None
        if not message.mark.linked:
            return None
    return None


def is_first(trail: Sequence[str]) -> bool:
    """Whether the app shows nothing of the user's before the message."""
    return len(trail) == 2 and trail[0] == ""


def _is_asked_again(messages: Sequence[Message], index: int, trail: Sequence[str]) -> bool:
    """Whether a chat's first message is the one at `index` once more, and neither a new chat nor a program that never
    sends a history: it is word for word the last that was said, and it was cut short, or the app is known to send one.
    """
    mark = messages[index].mark
    if mark is None or mark.after != trail[-1] or any(m.role == "user" for m in messages[index + 1 :]):
        return False
    return messages[-1].interrupted or any(m.mark is not None and m.mark.before for m in messages)
