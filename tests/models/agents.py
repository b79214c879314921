"""Agents of every kind that a `PYTHON` entry can name."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from llamaproxy.agents import Context, Reasoning

# What the tests look at: how far the counting agents came, which of them were ended, and where they ran.
counted: list[int] = []
ended: list[str] = []
threads: list[int] = []
# Of the agent that blocks its thread: that it does, and that it may go on.
blocking, released = threading.Event(), threading.Event()
# Seconds after which that agent takes the reactor for blocked as well.
PATIENCE = 10.0


async def stream(text: str, context: Context) -> AsyncIterator[str | Reasoning]:
    threads.append(threading.get_ident())
    yield Reasoning("hm")
    await asyncio.sleep(0)
    yield f"{text} of "
    yield context.session_id


async def answer(text: str) -> str:
    return text.upper()


def plain(messages: list[dict[str, str]]) -> str:
    threads.append(threading.get_ident())
    return " / ".join(f"{message['role']}: {message['content']}" for message in messages)


def words(text: str, context: Context) -> Iterator[str]:
    for word in text.split():
        threads.append(threading.get_ident())
        yield f"{word} "
    yield f"{context.settings.get('mark', '')}{context.depth}"


def makes_a_stream(text: str) -> AsyncIterator[str]:
    async def inner() -> AsyncIterator[str]:
        yield "from "
        yield "inside"

    return inner()


class Assistant:
    async def __call__(self, text: str, context: Context, extra: int = 0) -> str:
        return f"{context.system_prompt}: {text}"


assistant = Assistant()


async def count(text: str) -> AsyncIterator[str]:
    try:
        for number in range(1000):
            counted.append(number)
            yield f"{number} "
    finally:
        ended.append("count")


def count_plainly(text: str) -> Iterator[str]:
    try:
        for number in range(1000):
            counted.append(number)
            yield f"{number} "
    finally:
        ended.append("count_plainly")


async def forever(text: str) -> AsyncIterator[str]:
    try:
        yield "on"
        await asyncio.sleep(1000)
    finally:
        ended.append("forever")


async def silent(text: str) -> None:
    await asyncio.sleep(1000)


async def fails(text: str) -> AsyncIterator[str]:
    yield "so "
    raise ValueError("no such city\nat all")


async def gives_up(text: str) -> str:
    raise asyncio.CancelledError


def leaves(text: str) -> str:
    raise SystemExit(3)


def stops(text: str) -> str:
    raise StopIteration


def number(text: str) -> Any:
    return 7


async def blocks(text: str) -> str:
    blocking.set()
    return "let go" if released.wait(PATIENCE) else "nobody else could run"
