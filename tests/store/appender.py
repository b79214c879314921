"""Appends turns to the store in the file given, without end; prints each turn's number once it is committed."""

import sys
from typing import Any

from twisted.internet.task import react

from llamaproxy.seams.types import Message
from llamaproxy.store.sqlite import SqliteSessionStore


async def append_for_ever(reactor: Any, path: str) -> None:
    store = SqliteSessionStore(path, reactor)
    await store.open()
    turn = 0
    while True:
        question, answer = (
            Message(role="user", content=f"q{turn}"),
            Message(role="assistant", content=f"a{turn}"),
        )
        await store.append("llama-127.0.0.1", [question, answer])
        print(turn, flush=True)
        turn += 1


if __name__ == "__main__":
    react(append_for_ever, sys.argv[1:])
