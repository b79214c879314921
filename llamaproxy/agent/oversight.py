"""The agent as its operator looks after it: what runs, who talks, what is asked, and which gates stand open."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from ..seams.gates import SIDES, Kind, Side
from ..seams.interfaces import IEmbedder, IPeers, IReply, IReplyConsumer
from ..seams.limits import Ruling
from ..seams.oversight import Account, Conversing, Decision, IOversight, Question, Stream, Switch
from ..seams.records import Record
from ..seams.types import AgentEvent, Caller, ChatTurn, ModelInfo, ReplyEnd
from .backends import Backends
from .calls.gates import Gates, sides_of
from .calls.runner import Workbench
from .sessions.ledger import Ledger
from .sessions.session import Session, Sessions
from .sessions.turn import Turn
from .turns.approvals import Parked, is_open, parked_turn, pending_lines
from .turns.inquiries import Inquiries

CONSOLE = "console"


@implementer(IOversight)
class Oversight:
    """Looks at the parts of an agent; `take` is its way for a message."""

    def __init__(
        self,
        turns: Iterable[Turn],
        sessions: Sessions,
        bench: Workbench,
        backends: Backends,
        embedders: Iterable[IEmbedder],
        peers: IPeers,
        inquiries: Inquiries,
        ledger: Ledger,
        take: Callable[[Caller, ChatTurn], Deferred[IReply]],
    ) -> None:
        self._turns = turns
        self._sessions = sessions
        self._bench = bench
        self._backends = backends
        self._embedders = embedders
        self._peers = peers
        self._inquiries = inquiries
        self._ledger = ledger
        self._take = take

    def streams(self) -> Sequence[Stream]:
        """See `IOversight`."""
        return [_stream(turn) for turn in self._turns]

    def sessions(self, most: int, like: str = "") -> Sequence[Conversing]:
        """See `IOversight`."""
        part = like.casefold()
        wanted = (each for each in self._sessions if not part or part in each.session_id.casefold())
        found = nlargest(most, wanted, key=lambda session: session.last_active)
        return [
            Conversing(
                session_id=session.session_id,
                short_id=session.short_id,
                address=session.address,
                model=session.model or self._backends.default,
                messages=session.message_count,
                active=session.last_active,
                waiting=len(session.turns),
            )
            for session in found
        ]

    def count_sessions(self) -> int:
        """See `IOversight`."""
        return len(self._sessions)

    def questions(self) -> Sequence[Question]:
        """See `IOversight`."""
        return [
            Question(
                session_id=session.session_id,
                code=parked.code,
                calls=pending_lines(parked),
                seconds=max(0.0, (session.question_ends or 0.0) - self._bench.clock.seconds()),
                is_heard=self._inquiries.is_open(session.session_id),
            )
            for session, parked in self._parked()
        ]

    def decide(self, session_id: str, code: str, decision: Decision) -> Deferred[bool]:
        """See `IOversight`."""
        open_here = any(
            session.session_id == session_id and parked.code == code for session, parked in self._parked()
        )
        if not open_here:
            return succeed(False)
        if self._inquiries.decide(session_id, decision):
            return succeed(True)
        caller = Caller(session_id=session_id, address=CONSOLE, named_by=CONSOLE, owner=True, source=CONSOLE)
        record = Record(
            session_id=session_id,
            start=self._bench.clock.seconds(),
            caller=CONSOLE,
            named_by=CONSOLE,
            dialect=CONSOLE,
            client=CONSOLE,
        )
        self._bench.recorder.begin(record)
        listener = _Unheard(lambda: self._over(record))
        asked = ChatTurn(text=f"!{decision} {code}", record=record)
        self._take(caller, asked).addCallbacks(lambda reply: reply.deliverTo(listener), listener.replyFailed)
        return succeed(True)

    def stop(self, session_id: str) -> Deferred[bool]:
        """See `IOversight`."""
        session = self._sessions.get(session_id)
        if session is None or session.running is None:
            asked: Deferred[bool] = self._peers.stop_turn(session_id, 0)
            return asked
        session.running.stop()
        return succeed(True)

    def switches(self) -> Sequence[Switch]:
        """See `IOversight`."""
        gates = Gates({}, self._bench.gate_defaults)
        return [
            Switch(
                kind=kind,
                name=name,
                group=group,
                side=side,
                allowed=gates.allows(kind, name, side, group),
            )
            for kind, name, group, sides in self._gated()
            for side in sides
        ]

    def set_switch(self, kind: Kind, name: str, side: Side, allowed: bool) -> Deferred[None]:
        """See `IOversight`."""
        return self._peers.rule(Ruling("gate", allowed, f"{kind} {side} {name}"))

    def models(self) -> Sequence[ModelInfo]:
        """See `IOversight`."""
        return [*self._backends.infos(), *(embedder.info() for embedder in self._embedders)]

    def nodes(self) -> Sequence[str]:
        """See `IOversight`."""
        names: Sequence[str] = self._peers.names
        return names

    def accounts(self) -> Sequence[Account]:
        """See `IOversight`."""
        return self._ledger.accounts()

    def watch(self, present: bool) -> None:
        """See `IOversight`."""
        self._inquiries.watchers += 1 if present else -1

    def _parked(self) -> Iterator[tuple[Session, Parked]]:
        now, today = self._bench.clock.seconds(), self._bench.wall()
        for session in self._sessions:
            parked = parked_turn(session)
            if parked is not None and is_open(session, parked, now, min(today, parked.expires)):
                yield session, parked

    def _gated(self) -> Iterator[tuple[Kind, str, str, Sequence[Side]]]:
        """What can be switched: every tool, and what is set by name beside them."""
        tools = [tool for tool in self._bench.toolbox if tool.category not in ("db", "system")]
        for tool in tools:
            yield "tools", tool.name.lower(), tool.category, sides_of(tool)
        known = {tool.name.lower() for tool in tools}
        for kind in ("tools", "db"):
            for name in dict.fromkeys([*self._bench.gate_defaults.get(kind, {}), "*"]):
                if kind == "db" or name not in known:
                    yield kind, name, "", SIDES

    def _over(self, record: Record) -> None:
        record.seconds = self._bench.clock.seconds() - record.start
        record.break_off("done")
        self._bench.recorder.end(record)


@implementer(IReplyConsumer)
class _Unheard:
    """Takes a reply that nobody hears; the conversation has it."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over = over

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """See `IReplyConsumer`."""

    def replyFinished(self, end: ReplyEnd) -> None:
        """See `IReplyConsumer`."""
        self._over()

    def replyFailed(self, reason: Failure) -> None:
        """See `IReplyConsumer`."""
        self._over()


def _stream(turn: Turn) -> Stream:
    record = turn.record
    return Stream(
        request_id=record.request_id,
        session_id=turn.caller.session_id,
        model=record.model,
        client=record.client,
        seconds=turn.since_start(),
        first=record.first,
        pieces=turn.reply.pieces,
        is_paused=record.is_paused,
        pauses=record.pauses,
        waits=not record.attempts,
    )
