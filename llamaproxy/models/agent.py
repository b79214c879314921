"""The `AGENT` type: another agent behind an HTTP API of its own, which keeps the conversation itself.

A turn is submitted with `POST /api/v1/submit` and heard through `GET /api/v1/stream/{client_id}`, Server-Sent Events
named `tok`, `flush`, `gate`, `done` and `error`. Only the user's newest message goes over, but for the message after
which the conversation was cut back: that API can forget a session, and no part of one.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field, json
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..config.schema import ModelEntry
from ..seams.errors import ModelError, ModelTimeout
from ..seams.interfaces import IDeltaReceiver, IKeepsHistory
from ..seams.names import SWARM, safe_name
from ..seams.telling import about
from ..seams.types import Message, ModelDelta, ModelRequest, ModelResult, Text
from .remote import RemoteModel
from .upstream.call import fetch, listen
from .upstream.refusals import UNREADABLE, error_of, first_line
from .upstream.sse import NamedEventSplitter
from .upstream.upstream import Upstream
from .upstream.wire import decoder, encode

# The value of `model_id` that leaves the choice of a model to the remote agent.
ITS_OWN = "default"

# A sign at the beginning of what any program may take for a line, and what is put before it.
_COMMAND = re.compile(
    r"((?:\A|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029])[^\S\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]*)!"
)
NO_WIDTH = "\u2060"

_SPEAKERS = {"user": "I", "assistant": "You"}

# Seconds for a small request beside the stream: an answer to a gate, the end of a turn.
ERRAND = 5.0


class _Accepted(Struct):
    client_id: str


class _Token(Struct):
    text: str = ""


class _Error(Struct):
    message: str = ""


class Gate(Struct, frozen=True):
    """A tool call of the remote agent that waits for a yes or no."""

    gate_id: str
    tool_name: str = ""
    tool_args: dict[str, Any] = field(default_factory=dict)


_token, _gate, _error = decoder(_Token), decoder(Gate), decoder(_Error)


class TurnDecoder:
    """The `streaming.Decoder` of this format; `on_gate` hears of each gate, and must answer it within 2 seconds.

    Some servers send `done` after every round of tools; what comes after it opens the turn again.
    """

    def __init__(self, who: str, on_gate: Callable[[Gate], None]) -> None:
        self.finished = False
        self._who = who
        self._on_gate = on_gate
        self._events = NamedEventSplitter()

    def received(self, segment: bytes, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`."""
        for name, data in self._events.received(segment):
            match name:
                case b"tok":
                    if text := _token(data).text:
                        deltas.append(Text(text))
                        self.finished = False
                case b"gate":
                    self._on_gate(_gate(data))
                    self.finished = False
                case b"done":
                    self.finished = True
                case b"error":
                    said = first_line(_error(data).message)
                    raise error_of(self._who, None, said or "no explanation")

    def ended(self, deltas: list[ModelDelta]) -> None:
        """See `streaming.Decoder`: there is nothing that an event without its end could be."""

    def result(self) -> ModelResult | None:
        """See `streaming.Decoder`."""
        return ModelResult() if self.finished else None


class AgentChat:
    """Takes turns with the remote agent.

    Each session here is a client there, under an id that begins with `api-`: only such clients are asked at gates
    instead of being refused. The answers come from the entry's `gate_policy`. What one of our models asks it, on
    behalf of a session, is another client: `api-swarm-...`.
    """

    _log = Logger()

    def __init__(self, key: str, entry: ModelEntry, upstream: Upstream, clock: IReactorTime) -> None:
        self._key = key
        self._entry = entry
        self._upstream = upstream
        self._clock = clock
        self._errands: set[Deferred[None]] = set()
        # By client, what must be over before its next turn begins, or that would be stopped or forgotten, too.
        self._ending: dict[str, list[Deferred[None]]] = {}
        # Clients that have to be told what is left of their conversation.
        self._cut_back: set[str] = set()

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """One turn, as `IModel.chat` has it."""
        return Deferred.fromCoroutine(self._ask(request, receiver))

    async def _ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> ModelResult:
        session_id = request.session_id or f"once-{token_hex(4)}"
        client = self._client_id(session_id)
        for errand in list(self._ending.get(client, ())):
            await _end_of(errand)
        try:
            return await self._turn(client, request, receiver)
        finally:
            if not request.session_id:
                self.forget(session_id)

    def forget(self, session_id: str) -> None:
        """Has the remote agent forget what was said in this session."""
        client = self._client_id(session_id)
        self._cut_back.discard(client)
        self._end(client, "DELETE", f"/api/v1/session/{client}")

    def rewind(self, session_id: str) -> None:
        """Has the remote agent forget the session; its next turn begins with what is left of it."""
        self.forget(session_id)
        self._cut_back.add(self._client_id(session_id))

    def settled(self) -> Deferred[list[None]]:
        """Fires when the small requests under way are done."""
        return gatherResults(list(self._errands))

    async def _turn(self, client: str, request: ModelRequest, receiver: IDeltaReceiver) -> ModelResult:
        accepted = False
        try:
            submission = self._submission(client, request)
            answer = await fetch(self._upstream, "/api/v1/submit", submission, request=request)
            accepted = True
            self._cut_back.discard(client)
            path = f"/api/v1/stream/{quote(self._accepted(answer), safe='')}"
            decoder = partial(self._decoder, request)
            return await listen(self._upstream, path, request, decoder, receiver, self._entry.linger)
        except (CancelledError, ModelError) as error:
            # Over there the turn goes on, whether anybody listens or not.
            if accepted or isinstance(error, CancelledError | ModelTimeout):
                self._end(client, "POST", "/api/v1/stop", {"client_id": client}, request.request_id)
            raise

    def _submission(self, client: str, request: ModelRequest) -> bytes:
        text = (_retold if client in self._cut_back else _newest)(request.messages)
        submission = {
            # What one of our models sends it on purpose has passed the operator's filter.
            "text": text if request.session_id.startswith(SWARM) else _without_commands(text),
            "client_id": client,
            "timeout": self._upstream.time_limit(request),
        }
        if self._entry.model_id != ITS_OWN:
            submission["default_model"] = self._entry.model_id
        return encode(submission)

    def _accepted(self, answer: bytes) -> str:
        """The client id under which the turn runs."""
        try:
            return json.decode(answer, type=_Accepted).client_id
        except UNREADABLE as error:
            raise ModelError(f"{self._upstream.who} sent what cannot be read: {error}") from None

    def _client_id(self, session_id: str) -> str:
        if session_id.startswith(SWARM):
            return safe_name(f"api-{session_id}", 96)
        return safe_name(f"api-llama-{self._key}-{session_id.removeprefix('llama-')}", 96)

    def _decoder(self, request: ModelRequest) -> TurnDecoder:
        return TurnDecoder(self._upstream.who, partial(self._answer, request.request_id))

    def _answer(self, request_id: str, gate: Gate) -> None:
        """Answers a gate from the stored policy: by the tool's name, then by the kind of access, else no."""
        policy = self._entry.gate_policy
        operation = gate.tool_args.get("operation_type")
        approve = policy.get(
            gate.tool_name, policy.get(operation, False) if isinstance(operation, str) else False
        )
        self._log.info(
            "{turn}{who} asks for {tool} ({operation}): {answer}",
            turn=about(request_id),
            who=self._upstream.who,
            tool=gate.tool_name,
            operation=operation,
            answer="yes" if approve else "no",
        )
        path = f"/api/v1/gate/{quote(gate.gate_id, safe='')}"
        self._errand("POST", path, {"approve": approve}, request_id)

    def _end(
        self,
        client: str,
        method: str,
        path: str,
        content: dict[str, Any] | None = None,
        request_id: str = "",
    ) -> None:
        """Sends a small request that is to be over before the client's next turn."""
        errand = self._errand(method, path, content, request_id)
        ending = self._ending.setdefault(client, [])
        ending.append(errand)

        def over(_: None) -> None:
            ending.remove(errand)
            if not ending:
                self._ending.pop(client, None)

        errand.addCallback(over)

    def _errand(
        self, method: str, path: str, content: dict[str, Any] | None = None, request_id: str = ""
    ) -> Deferred[None]:
        """Sends a small request beside the stream; fires when it is done with, and never fails."""
        body = b"" if content is None else json.encode(content)
        sent = fetch(self._upstream, path, body, method).addTimeout(ERRAND, self._clock)
        errand: Deferred[Any] = sent.addErrback(self._not_done, method, path, request_id)
        self._errands.add(errand)
        return errand.addCallback(lambda _: self._errands.discard(errand))

    def _not_done(self, failure: Failure, method: str, path: str, request_id: str) -> None:
        self._log.info(
            "{turn}{method} {path} did not work: {reason}",
            turn=about(request_id),
            method=method,
            path=path,
            reason=failure.getErrorMessage(),
        )


@implementer(IKeepsHistory)
class RemoteAgent(RemoteModel):
    """One `AGENT` entry."""

    def __init__(self, key: str, entry: ModelEntry, modified_at: float, chat: AgentChat) -> None:
        super().__init__(key, entry, modified_at, chat)
        self._agent = chat

    def forget(self, session_id: str) -> None:
        """See `IKeepsHistory`."""
        self._agent.forget(session_id)

    def rewind(self, session_id: str) -> None:
        """See `IKeepsHistory`."""
        self._agent.rewind(session_id)

    def stop(self) -> Deferred[Any]:
        """See `IModel`. Waits for what tells the remote agent of the end."""
        return self._agent.settled()


def _without_commands(text: str) -> str:
    """The text with nothing in it that the agent would take for a command, of which it may take them in any line.

    What our user's commands were, they got from us; the rest may be a page's or a program's.
    """
    return _COMMAND.sub(f"\\1{NO_WIDTH}!", text)


def _newest(messages: Sequence[Message]) -> str:
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def _retold(messages: Sequence[Message]) -> str:
    """The newest message, after all that was said before it."""
    spoken = [message for message in messages if message.role in _SPEAKERS and message.content]
    while spoken and spoken.pop().role != "user":
        pass
    if not spoken:
        return _newest(messages)
    said = "\n\n".join(f"{_SPEAKERS[message.role]}: {message.content}" for message in spoken)
    return f"[Our conversation so far]\n{said}\n\n[It goes on with this message]\n{_newest(messages)}"


def _end_of(errand: Deferred[None]) -> Deferred[None]:
    """Fires with `errand`; cancelling it leaves `errand` alone."""
    end: Deferred[None] = Deferred()
    errand.addCallback(lambda _: end.callback(None))
    return end
