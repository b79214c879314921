"""What the two apps of this folder share: one script for a library's blocking and its async client, and its report."""

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Report = dict[str, Any]
HELLO = [{"role": "user", "content": "hello"}]


async def settled(value: Any) -> Any:
    """The value itself, or what the async client's awaitable comes to."""
    return await value if inspect.isawaitable(value) else value


async def following(stream: Any, take: Callable[[Any], str], limit: int = sys.maxsize) -> Report:
    """Reads a stream to its end, or closes it after `limit` pieces that say something.

    An exception that ends it is part of the report.
    """
    pieces: list[str] = []
    last = None
    try:
        if hasattr(stream, "__aiter__"):
            async for last in stream:
                pieces.append(take(last))
                if len([piece for piece in pieces if piece]) == limit:
                    break
        else:
            for last in stream:
                pieces.append(take(last))
                if len([piece for piece in pieces if piece]) == limit:
                    break
    except Exception as error:
        return {"text": "".join(pieces), **complaint(error)}
    if len([piece for piece in pieces if piece]) == limit:
        close = getattr(stream, "aclose", None) or stream.close
        await settled(close())
    return {"text": "".join(pieces), "pieces": len(pieces), "last": last.model_dump() if last else None}


async def refused(call: Callable[[], Any]) -> Report:
    """What a call that should fail raises."""
    try:
        await settled(call())
    except Exception as error:
        return complaint(error)
    return {}


def complaint(error: Exception) -> Report:
    """An exception, as a user's program would show it."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "status": getattr(error, "status_code", None),
    }


def run(
    scenes: dict[str, Callable[[Any], Awaitable[Report]]], clients: dict[str, Callable[[str], Any]]
) -> None:
    """Plays the scene that the command line names, as `URL WAY SCENE`, and prints its report as JSON."""
    url, way, scene = sys.argv[1:]

    async def play() -> None:
        print(json.dumps(await scenes[scene](clients[way](url)), default=str))

    asyncio.run(play())
