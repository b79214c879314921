"""What the endpoints of all dialects share: the way of a turn to the agent and back, small JSON answers, failures.

Each dialect's endpoints are a class with a Klein app of its own; `routes` hands them the requests of that dialect, by
way of `plain_routes`.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from time import time
from typing import Any, TypeVar

from klein import Klein
from klein.resource import KleinResource
from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..config.schema import Housekeeping
from ..dialects.base import ChatRequest, Encoder, WireDialect
from ..dialects.errands import Task
from ..dialects.names import matches
from ..dialects.parsing import from_command_line, without_results
from ..dialects.vectors import EmbedRequest
from ..seams.errors import ModelError, NoEmbedder
from ..seams.interfaces import IAgent, IRecorder, IReply
from ..seams.records import LONGEST_NAME, Record
from ..seams.telling import about
from ..seams.types import Caller, Embeddings, ModelInfo, ReplyEnd, Text
from ..seams.unrecorded import Unrecorded
from . import errors
from .bodies import LARGE, AtOnce, Reader
from .clients import Client, client_of
from .guard import Guard
from .housekeeping import Housekeeper
from .notices import Notices
from .paced import PacedReply
from .placed import head_of
from .quirks import Quirks
from .recorded import Recorded
from .site import Intake
from .streaming import Outlet, StreamedReply, WholeReply

# What a route gives: a body, what comes to it, or for a turn the outlet that is to carry its reply, since whatever is
# around that would be kept for as long as the reply runs.
Answer = bytes | Outlet | Coroutine[Any, Any, bytes]

T = TypeVar("T")


class Endpoints:
    """The endpoints of `dialect` over one agent; a subclass has its routes on `app`, made by `new_app`.

    `now` gives Unix seconds for the wire, `clock` runs the timers. `heartbeat`, `stall_timeout` and
    `housekeeping` are as in `config.FrontDoor`. `reader` reads large bodies.
    """

    log = Logger()

    app: Klein
    dialect: WireDialect

    def __init__(
        self,
        agent: IAgent,
        guard: Guard,
        clock: IReactorTime,
        stall_timeout: float = 300.0,
        heartbeat: float = 8.0,
        now: Callable[[], float] = time,
        housekeeping: Housekeeping = "local",
        reader: Reader | None = None,
        recorder: IRecorder | None = None,
    ) -> None:
        self._agent = agent
        self._guard = guard
        self._clock = clock
        self._stall_timeout = stall_timeout
        self._heartbeat = heartbeat
        self._now = now
        self._housekeeper = Housekeeper(agent, housekeeping)
        self._reader = reader or AtOnce()
        self._notices = Notices(now)
        self._recorder = recorder or Unrecorded()

    def renew(self, stall_timeout: float, heartbeat: float, housekeeping: Housekeeping) -> None:
        """Goes by these from the next request on."""
        self._stall_timeout, self._heartbeat = stall_timeout, heartbeat
        self._housekeeper = Housekeeper(self._agent, housekeeping)

    def resource(self) -> KleinResource:
        """Where requests come in."""
        return self.app.resource()

    def _json(self, request: Intake, body: bytes) -> bytes:
        """Sets the headers that go with a JSON `body`, and gives it back."""
        length = b"%d" % len(body)
        request.responseHeaders.put_all(
            (b"Content-Type", self.dialect.JSON_TYPE), (b"Content-Length", length)
        )
        return body

    def _asked(self, request: Intake, parse: Callable[[bytes], T], then: Callable[[T], Answer]) -> Answer:
        """What `then` answers to the body as `parse` understands it."""
        body = request.content.read()
        return then(parse(body)) if len(body) <= LARGE else self._asked_at_length(body, parse, then)

    async def _asked_at_length(
        self, body: bytes, parse: Callable[[bytes], T], then: Callable[[T], Answer]
    ) -> bytes:
        answer = then(await self._reader.read(parse, body))
        # It may take long, and has taken from the body what it needs.
        del body
        return answer if isinstance(answer, bytes) else await answer

    def _models(self, request: Intake) -> Sequence[ModelInfo]:
        """The models to talk to that whoever asks may use."""
        return self._open(request, self._agent.models())

    def _embedders(self, request: Intake) -> Sequence[ModelInfo]:
        """The same of those that make embeddings."""
        return self._open(request, self._agent.embedders())

    def _known(self, request: Intake) -> Sequence[ModelInfo]:
        """The models that have a card. Lists show only those to talk to: apps offer all of a list for that."""
        return [*self._models(request), *self._embedders(request)]

    def _open(self, request: Intake, models: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        grants = self._guard.known(request).grants
        return [info for info in models if grants.allows_model(info.key)]

    async def _embed(self, request: Intake, asked: EmbedRequest) -> Embeddings:
        """Vectors, by the embedder that the client named, or else the first one."""
        embedders = self._embedders(request)
        if not embedders and self._agent.embedders():
            raise NoEmbedder("None of the models that you may use here makes embeddings.")
        named = [info.key for info in embedders if matches(asked.model, info.key)]
        key = next(iter(named or [info.key for info in embedders]), "")
        try:
            return await self._agent.embed(asked.texts, key, asked.dimensions)
        except ModelError as error:
            self.log.warn(
                "{turn}embeddings ended with an error: {error}",
                turn=about(request.request_id),
                error=str(error),
            )
            raise

    async def _joined(self, pieces: Iterable[bytes]) -> bytes:
        """The whole of a body; the reactor has its turn between two pieces."""
        made: list[bytes] = []
        for piece in pieces:
            if made:
                await deferLater(self._clock, 0)
            made.append(piece)
        return b"".join(made)

    def _converse(self, request: Intake, parsed: ChatRequest, encoder: Encoder) -> Answer:
        """Takes the turn to the agent and carries the reply back. That is cancelled when the client leaves."""
        assert parsed.turn is not None
        caller = self._guard.caller(request, parsed.identity)
        app = parsed.brought.side(caller.allowance)
        if parsed.ignored:
            self._notices.tell(request, parsed.brought.unused(parsed.ignored, caller.allowance))
        client = head_of(request).once(client_of)
        quirks = client.quirks
        profile = self._guard.known(request).profile
        recorded = Recorded(self._record(request, client, caller, parsed.stream), self._recorder, self._clock)
        outlet = (
            self._stream(request, encoder, quirks, recorded, profile.heartbeat)
            if parsed.stream
            else self._whole(request, encoder, recorded)
        )
        task = self._housekeeper.task(client, parsed, caller, profile.housekeeping)
        if task and not app.results:
            self._recorder.errand(caller.session_id, task.value)
            if (text := self._housekeeper.ready(task, parsed, profile.housekeeping)) is not None:
                return self._say(request, parsed, encoder, text)
            return outlet.expect(self._run_errand(recorded, task, parsed, caller))
        turn = from_command_line(parsed.turn, quirks.joins) if quirks.joins else parsed.turn
        turn = without_results(turn) if app.results else turn
        turn = replace(
            turn,
            attempt=client.attempt,
            shows_history=quirks.shows_history,
            record=recorded.record,
            app=app,
        )
        recorded.begin(request.channel.site.meters)
        try:
            return outlet.expect(self._agent.turn(caller, turn))
        except Exception:
            return outlet.expect(fail())

    def _run_errand(
        self, recorded: Recorded, task: Task, parsed: ChatRequest, caller: Caller
    ) -> Deferred[IReply]:
        """Has a model answer an app's own question, beside the session."""
        assert parsed.turn is not None
        recorded.record.errand = task.value
        parsed = replace(parsed, turn=replace(parsed.turn, record=recorded.record))
        recorded.begin()
        return Deferred.fromCoroutine(self._housekeeper.ask(task, parsed, caller))

    def _record(self, request: Intake, client: Client, caller: Caller, streamed: bool) -> Record:
        """The record of a turn that begins."""
        return Record(
            request_id=request.request_id,
            session_id=caller.session_id,
            start=self._clock.seconds(),
            caller=caller.source[:LONGEST_NAME],
            profile=caller.profile,
            address=caller.address,
            named_by=caller.named_by[:LONGEST_NAME],
            dialect=request.plain_path[:LONGEST_NAME],
            client=client.name,
            streamed=streamed,
            cause=client.cause,
        )

    def _say(self, request: Intake, parsed: ChatRequest, encoder: Encoder, text: str) -> bytes:
        """A reply that is there already, in the form that was asked for."""
        if not parsed.stream:
            return self._json(request, encoder.whole(text, "", ReplyEnd()))
        request.setHeader(b"content-type", encoder.content_type)
        return encoder.start() + encoder.events([Text(text)]) + encoder.finish(ReplyEnd())

    def _whole(self, request: Intake, encoder: Encoder, recorded: Recorded) -> Outlet:
        request.setHeader(b"content-type", self.dialect.JSON_TYPE)
        return WholeReply(request, encoder, self._clock, recorded, self._stall_timeout)

    def _stream(
        self, request: Intake, encoder: Encoder, quirks: Quirks, recorded: Recorded, heartbeat: float | None
    ) -> Outlet:
        kind = PacedReply if quirks.line_gap else StreamedReply
        heartbeat = self._heartbeat if heartbeat is None else heartbeat
        return kind(request, encoder, self._clock, recorded, self._stall_timeout, heartbeat, quirks)


def new_app() -> Klein:
    """An app whose failures become answers in the dialect of the request."""
    app = Klein()
    app.handle_errors(Exception)(failed)  # type: ignore[arg-type]  # Klein's type asks for IRequest
    return app


def failed(endpoints: Endpoints, request: Intake, failure: Failure) -> bytes:
    """Everything that went wrong before the first byte; a stream ends itself."""
    error = errors.as_agent_error(failure, request)
    return b"" if request.startedWriting else errors.answer(request, error)
