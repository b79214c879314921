"""What the console changes: each is a POST, and holds in all processes of the server."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..seams.elsewhere import Decide, End, Errand, IElsewhere, KeepWords
from ..seams.errors import BadRequest, NotFound
from ..seams.gates import Kind, Side
from ..seams.oversight import Decision, IFiles, IOversight, IRecords, ModelChange, Reloaded
from ..web.site import Intake
from .checkup import Checkup
from .wire import as_json, read

# Minutes for which the words of a session may be kept at once.
MOST_MINUTES = 24 * 60

Answer = bytes | Coroutine[Any, Any, bytes]


class Answered(Struct, frozen=True):
    """An answer to a question for leave."""

    session_id: str
    code: str
    decision: Decision


class Ended(Struct, frozen=True):
    """Whose turn is to end."""

    session_id: str


class Switched(Struct, frozen=True):
    """A switch, and how it is to stand."""

    kind: Kind
    name: str
    side: Side
    allowed: bool


class Model(Struct, frozen=True):
    """A model, and what is to become of it."""

    key: str
    to: ModelChange


class Words(Struct, frozen=True):
    """Whose words are kept, and for how long; 0 minutes ends it."""

    session_id: str
    minutes: float


class Changes:
    """Makes them; `reload` has all processes read the operator's `files`."""

    log = Logger()

    def __init__(
        self,
        oversight: IOversight,
        records: IRecords,
        checkup: Checkup,
        files: IFiles,
        reload: Callable[[], Deferred[Reloaded]],
        elsewhere: IElsewhere | None,
    ) -> None:
        self._oversight = oversight
        self._records = records
        self._checkup = checkup
        self._files = files
        self._reload = reload
        self._elsewhere = elsewhere
        self.table: Mapping[str, Callable[[Intake], Answer]] = {
            "/console/decide": self._decide,
            "/console/stop": self._stop,
            "/console/switch": self._switch,
            "/console/model": self._model,
            "/console/words": self._words,
            "/console/checkup": self._examine,
            "/console/reload": self._read_again,
        }

    async def _decide(self, request: Intake) -> bytes:
        asked = read(request, Answered)
        here = self._oversight.decide(asked.session_id, asked.code, asked.decision)
        if not await self._is_done(here, Decide(asked.session_id, asked.code, asked.decision)):
            raise NotFound("That question is not open any more.")
        return as_json(request, {"done": True})

    async def _stop(self, request: Intake) -> bytes:
        asked = read(request, Ended)
        if not await self._is_done(self._oversight.stop(asked.session_id), End(asked.session_id)):
            raise NotFound("No turn runs in that session any more.")
        return as_json(request, {"done": True})

    async def _is_done(self, here: Deferred[bool], errand: Errand) -> bool:
        """Whether it was done, here or there."""
        if await here:
            return True
        return self._elsewhere is not None and any(
            finding.done for finding in await self._elsewhere.ask(errand)
        )

    async def _switch(self, request: Intake) -> bytes:
        asked = read(request, Switched)
        if asked.kind == "question" or len(asked.name) > 200:
            raise BadRequest("There is no such switch.")
        await self._oversight.set_switch(asked.kind, asked.name, asked.side, asked.allowed)
        await self._files.keep_gate(asked.kind, asked.name, asked.side, asked.allowed)
        return as_json(request, {"done": True})

    async def _model(self, request: Intake) -> bytes:
        asked = read(request, Model)
        await self._files.set_model(asked.key, asked.to)
        outcome = await self._reload()
        if not outcome.taken:
            raise BadRequest(outcome.lines[0])
        return as_json(request, {"done": True})

    async def _words(self, request: Intake) -> bytes:
        asked = read(request, Words)
        seconds = 60 * max(0.0, min(asked.minutes, MOST_MINUTES))
        self._records.keep_words(asked.session_id, seconds)
        if self._elsewhere is not None:
            await self._elsewhere.ask(KeepWords(asked.session_id, seconds))
        return as_json(request, {"done": True})

    def _examine(self, request: Intake) -> bytes:
        # Weighs half a megabyte, and so is loaded with the first examination.
        from ..doctor.visit import Server

        host = request.getHost()
        scheme = "https" if request.isSecure() else "http"
        server = Server(scheme, host.host, host.port, "")
        examining = Deferred.fromCoroutine(self._checkup.begin(server, self._files.operator_key()))
        examining.addErrback(partial(self.log.failure, "the doctor could not finish"))
        return as_json(request, {"done": True})

    async def _read_again(self, request: Intake) -> bytes:
        return as_json(request, await self._reload())
