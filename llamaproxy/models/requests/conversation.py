"""A request's messages as one server takes them, before they are put into its format."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ...seams.types import Message
from .calls import common_id, paired, short_id
from .lessons import Body, Lessons

NO_ANSWER = "[no answer]"


def prepared(messages: Sequence[Message], lessons: Lessons) -> list[Message]:
    """The messages, with every call and its result in order, and without what the server is known to refuse."""
    made = paired(messages, short_id if lessons.short_ids else common_id)
    if lessons.no_images:
        made = [_blind(message) for message in made]
    if lessons.no_system:
        made = _without_system(made)
    return made


def words_alone(messages: Sequence[Message], lessons: Lessons) -> list[Body] | None:
    """A conversation in which nothing but words was exchanged, as most formats have it; None if there is more to it.

    In it there is nothing to be `prepared`, and all has been `spoken`.
    """
    if lessons.no_system or lessons.reasoning:
        return None
    made = [
        {"role": message.role, "content": message.content}
        for message in messages
        if not (message.tool_calls or message.extra or message.images or message.role == "tool")
        and message.content.strip()
    ]
    return made if len(made) == len(messages) else None


def spoken(messages: Sequence[Message]) -> list[Message]:
    """The messages, with words for an assistant's that neither said nor called anything."""
    return [
        message
        if message.role != "assistant" or message.tool_calls or message.content.strip()
        else replace(message, content=NO_ANSWER)
        for message in messages
    ]


def extra_of(message_extra: dict[str, dict[str, Any]], back_end: str, lessons: Lessons) -> dict[str, Any]:
    """What `back_end` added to a message or a call, as far as it wants that back."""
    if lessons.no_extras or not message_extra:
        return {}
    added = message_extra.get(back_end, {})
    return {name: value for name, value in added.items() if name not in lessons.without}


def _blind(message: Message) -> Message:
    if not message.images:
        return message
    return replace(message, images=(), content=f"{message.content}\n[picture]".lstrip())


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The system's words at the beginning of the user's first ones."""
    told = "\n\n".join(message.content for message in messages if message.role == "system")
    made = [message for message in messages if message.role != "system"]
    first = next((at for at, message in enumerate(made) if message.role == "user"), None)
    if first is None:
        return [Message(role="user", content=told), *made]
    made[first] = replace(made[first], content=f"{told}\n\n{made[first].content}")
    return made
