"""Session stores that answer at once: one in memory, whose trees are plain lists, and the real one without a thread."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from llamaproxy.seams.interfaces import IPeers, ISessionStore
from llamaproxy.seams.types import Branch, Message, Resting, Spot, StoredSession, Trace

Append = Callable[[str, Sequence[Message], Spot | None], Deferred[int]]


class Tree:
    """A conversation: all messages of each branch, where its own begin, and the branch that was active before it."""

    def __init__(self) -> None:
        self.lines: dict[int, list[Message]] = {1: []}
        self.begins = {1: 0}
        self.left: dict[int, int] = {}
        self.active = 1

    @property
    def own(self) -> list[list[Message]]:
        """Each branch's own messages."""
        return [line[self.begins[number] :] for number, line in self.lines.items()]

    def activate(self, number: int) -> None:
        if number != self.active:
            self.left[number], self.active = self.active, number

    def append(self, messages: Sequence[Message], after: Spot | None) -> int:
        number = self.active if after is None else after.branch
        line = self.lines[number]
        if after is not None and after.length < len(line):
            number = max(self.lines) + 1
            self.lines[number] = line = line[: after.length]
            self.begins[number] = after.length
        self.activate(number)
        line.extend(messages)
        return number


class Gate:
    """What can be told to wait: with `held` set, an append fires when the test calls `release`. Or to fail."""

    def __init__(self) -> None:
        self.held = False
        self.failure: Exception | None = None
        self._waiting: list[Deferred[None]] = []

    def through(
        self, append: Append, session_id: str, messages: Sequence[Message], after: Spot | None
    ) -> Deferred[int]:
        if self.failure is not None:
            return fail(self.failure)
        gate: Deferred[None] = Deferred()
        self._waiting.append(gate)
        appended = gate.addCallback(lambda _: append(session_id, messages, after))
        if not self.held:
            self.release()
        return appended

    def release(self) -> None:
        self.held = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.callback(None)


@implementer(ISessionStore)
class MemoryStore(Gate):
    """Keeps nothing at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.trees: dict[str, Tree] = {}
        self.settings: dict[str, tuple[str, dict[str, Any]]] = {}

    @property
    def messages(self) -> dict[str, list[Message]]:
        """The active branch of each session that has messages."""
        return {session_id: tree.lines[tree.active] for session_id, tree in self.trees.items()}

    def open(self) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        return succeed(None)

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        if session_id not in self.trees and session_id not in self.settings:
            return succeed(None)
        model, settings = self.settings.get(session_id, ("", {}))
        tree = self.trees.get(session_id, Tree())
        messages = tree.lines[tree.active]
        return succeed(
            StoredSession(
                session_id=session_id,
                model=model,
                settings=settings,
                messages=tuple(messages[max(0, len(messages) - max(0, limit)) :]),
                message_count=len(messages),
                created_at=0.0,
                last_active=0.0,
                branch=tree.active,
            )
        )

    def at_rest(self) -> Deferred[Sequence[Resting]]:
        ids = self.trees.keys() | self.settings.keys()
        return succeed([Resting(each, 0.0, len(self.messages.get(each, ()))) for each in sorted(ids)])

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        return self.through(self._append, session_id, messages, after)

    def _append(self, session_id: str, messages: Sequence[Message], after: Spot | None) -> Deferred[int]:
        return succeed(self.trees.setdefault(session_id, Tree()).append(messages, after))

    def forget_places(self) -> None:
        """As it was written before answers kept what apps got of them."""
        for tree in self.trees.values():
            for line in tree.lines.values():
                line[:] = [replace(message, given=None) for message in line]

    def save_settings(self, session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
        self.settings[session_id] = (model, settings)
        return succeed(None)

    def holding(self, setting: str) -> Deferred[Sequence[str]]:
        return succeed([each for each, (_, settings) in self.settings.items() if setting in settings])

    def branches(self, session_id: str) -> Deferred[Sequence[Branch]]:
        tree = self.trees.get(session_id)
        if tree is None:
            return succeed(())
        return succeed(
            [
                Branch(
                    number=number,
                    begins=tree.begins[number],
                    length=len(line),
                    words=line[tree.begins[number]].content,
                    ending=line[-1].given.opening if line[-1].given else "",
                    active=number == tree.active,
                )
                for number, line in tree.lines.items()
                if line
            ]
        )

    def take_up(self, session_id: str, branch: int) -> Deferred[bool]:
        tree = self.trees.get(session_id)
        there = tree is not None and branch in tree.lines
        if tree is not None and there:
            tree.activate(branch)
        return succeed(there)

    def step_back(self, session_id: str) -> Deferred[int | None]:
        tree = self.trees.get(session_id, Tree())
        before = tree.left.get(tree.active)
        if before is not None:
            tree.active = before
        return succeed(before)

    def find(self, session_id: str, places: Sequence[str]) -> Deferred[Sequence[Trace]]:
        tree = self.trees.get(session_id, Tree())
        found = []
        for number, line in reversed(tree.lines.items()):
            for index in range(len(line) - 1, tree.begins[number] - 1, -1):
                given, mark = line[index].given, line[index].mark
                if given and given.place in places:
                    found.append(Trace(given.place, given.opening, Spot(number, index + 1)))
                elif mark and mark.after in places:
                    found.append(Trace(mark.after, None, Spot(number, index + 1)))
        return succeed(found)

    def clear(self, session_id: str) -> Deferred[int]:
        tree = self.trees.pop(session_id, Tree())
        return succeed(sum(map(len, tree.own)))

    def delete(self, session_id: str) -> Deferred[bool]:
        existed = session_id in self.trees or session_id in self.settings
        self.trees.pop(session_id, None)
        self.settings.pop(session_id, None)
        return succeed(existed)


class Memory:
    """Where a house has its sessions by itself. `begin` is a process that begins, with the one before gone."""

    def __init__(self, clock: Clock) -> None:
        self.store: Any = MemoryStore()
        self.peers: IPeers | None = None

    def begin(self) -> None:
        """The memory outlives its process."""

    def open(self) -> None:
        """There is nothing to open."""

    def close(self) -> None:
        """Nor to close."""


@implementer(ISessionStore)
class InlineStore:
    """A real database, asked on the reactor's own thread."""

    def __init__(self, database: Any) -> None:
        self.database = database

    def open(self) -> Deferred[None]:
        return succeed(None)

    def close(self) -> Deferred[None]:
        self.database.connection.close()
        return succeed(None)

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        return succeed(self.database.load(session_id, limit))

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        return succeed(self.database.append(session_id, messages, after))

    def save_settings(self, session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
        self.database.save_settings(session_id, model, json.dumps(settings))
        return succeed(None)

    def at_rest(self) -> Deferred[Sequence[Resting]]:
        return succeed(self.database.at_rest())

    def holding(self, setting: str) -> Deferred[Sequence[str]]:
        return succeed(self.database.holding(setting))

    def branches(self, session_id: str) -> Deferred[Sequence[Branch]]:
        return succeed(self.database.branches(session_id))

    def take_up(self, session_id: str, branch: int) -> Deferred[bool]:
        return succeed(self.database.take_up(session_id, branch))

    def step_back(self, session_id: str) -> Deferred[int | None]:
        return succeed(self.database.step_back(session_id))

    def find(self, session_id: str, places: Sequence[str]) -> Deferred[Sequence[Trace]]:
        return succeed(self.database.find(session_id, places))

    def clear(self, session_id: str) -> Deferred[int]:
        return succeed(self.database.clear(session_id))

    def delete(self, session_id: str) -> Deferred[bool]:
        return succeed(self.database.delete(session_id))
