"""An agent in plain Python: an async generator that gets what the user said and yields its answer in pieces."""

import asyncio
from collections.abc import AsyncIterator

from llamaproxy.agents import Context, Reasoning


async def reply(text: str, context: Context) -> AsyncIterator[str | Reasoning]:
    """Counts the words, and takes its time."""
    words = text.split()
    yield Reasoning(f"{len(words)} words, message {len(context.messages)} of this conversation.")
    for number, word in enumerate(words, 1):
        await asyncio.sleep(0.05)
        yield f"{number}. {word}\n"
