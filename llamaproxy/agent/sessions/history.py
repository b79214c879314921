"""Which part of a session's history goes into a prompt."""

from collections.abc import Sequence

from msgspec.structs import replace

from ...seams.types import Message

# A chat template puts role markers around each message.
MESSAGE_OVERHEAD = 8
# Characters that stay of a tool result that is cut for length.
RESULT_STUB = 300
# What is left for the answer when the prompt is cut to a context length.
ANSWER_RESERVE = 1024


def estimate_tokens(message: Message) -> int:
    """A careful guess, rather too high than too low: 3 bytes of UTF-8 a token.

    English text runs at about 4, Chinese and Japanese at about 3. Pictures cost what the common vision models
    charge for one.
    """
    size = _size(message.content)
    if message.tool_calls:
        size += sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
    tokens = size // 3 + MESSAGE_OVERHEAD
    return tokens + 1024 * len(message.images) if message.images else tokens


def estimate_all(messages: Sequence[Message]) -> int:
    """The guess for a whole prompt."""
    texts = [message.content for message in messages if not (message.tool_calls or message.images)]
    if len(texts) < len(messages):
        return sum([estimate_tokens(message) for message in messages])
    # Mostly there is nothing but text: the same sum, without a call for each message.
    sizes = map(len, texts) if all(map(str.isascii, texts)) else map(_size, texts)
    return sum([size // 3 for size in sizes]) + MESSAGE_OVERHEAD * len(texts)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def window(history: Sequence[Message], max_messages: int, max_tokens: int | None = None) -> list[Message]:
    """The newest messages that fit both limits, beginning with one of the user's, so never inside a tool round.

    The last turn is always kept whole, from the user's message on. `max_tokens` None means no limit by tokens.
    """
    start = max(0, len(history) - max_messages) if max_messages else 0
    if max_tokens is not None and estimate_all(history[start:]) > max_tokens:
        left = max_tokens
        for index in range(len(history) - 1, start - 1, -1):
            left -= estimate_tokens(history[index])
            if left < 0:
                start = index + 1
                break
    if start < len(history) and history[start].role == "user":
        return list(history[start:])
    last_turn = last_turn_start(history)
    while start < last_turn and history[start].role != "user":
        start += 1
    return list(history[min(start, last_turn) :])


def last_turn_start(history: Sequence[Message]) -> int:
    """Where the last message of the user stands, or the last message if there is none of the user's."""
    for index in range(len(history) - 1, -1, -1):
        if history[index].role == "user":
            return index
    return max(0, len(history) - 1)


def with_short_results(messages: Sequence[Message], max_tokens: int) -> list[Message]:
    """The messages with the oldest tool results cut to a few words, as many of them as it takes to fit."""
    if "tool" not in [message.role for message in messages]:
        return list(messages)
    over = estimate_all(messages) - max_tokens
    kept: list[Message] = []
    for message in messages:
        if over > 0 and message.role == "tool" and len(message.content) > 2 * RESULT_STUB:
            short = replace(
                message, content=f"{message.content[:RESULT_STUB]}\n[the rest was left out for length]"
            )
            over -= estimate_tokens(message) - estimate_tokens(short)
            message = short
        kept.append(message)
    return kept


def prompt_budget(context_length: int) -> int:
    """How many tokens of a context a prompt may take, so that there is room for the answer."""
    return context_length - min(ANSWER_RESERVE, context_length // 4)


def without_old_images(messages: list[Message]) -> list[Message]:
    """Leaves pictures only in the newest message that has any, and says in the others that there was one.

    A question about the last picture can be followed up; a history of photographs does not fill the memory.
    """
    newest = max([index for index, message in enumerate(messages) if message.images], default=-1)
    return messages if newest < 0 else [*without_images(messages[:newest]), *messages[newest:]]


def without_images(messages: Sequence[Message]) -> list[Message]:
    """Leaves no pictures, and says where there was one."""
    return [_blind(message) if message.images else message for message in messages]


def _blind(message: Message) -> Message:
    return replace(message, images=(), content=f"{message.content}\n[picture]".lstrip())
