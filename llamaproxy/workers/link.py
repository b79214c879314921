"""What the supervisor and a worker say to each other, over a pair of sockets, in Twisted's AMP.

If it breaks, the other side is gone.
"""

from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.amp import (
    AMP,
    COMMAND,
    MAX_VALUE_LENGTH,
    UNKNOWN_ERROR_CODE,
    AmpBox,
    Argument,
    BinaryBoxProtocol,
    Boolean,
    Command,
    Integer,
    RemoteAmpError,
    Unicode,
)
from twisted.python.failure import Failure

from ..config import Configuration
from ..seams.elsewhere import Errand, Finding, Log
from ..seams.errors import AgentError, ModelError
from ..seams.limits import Ruling, Used
from ..seams.oversight import Reloaded
from ..seams.types import SessionCard
from ..web.metrics import Family


class Json(Argument):
    """Anything of one type as JSON, of any size: AMP's own values end at 64 KiB."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self._kind = kind

    def toBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Writes it in pieces, the first one without a number."""
        text = json.encode(objects[name.decode()])
        for number, start in enumerate(range(0, len(text), MAX_VALUE_LENGTH)):
            strings[_piece(name, number)] = text[start : start + MAX_VALUE_LENGTH]

    def fromBox(self, name: bytes, strings: dict[bytes, bytes], objects: dict[str, Any], proto: Any) -> None:
        """Puts it together."""
        text, number = strings[name], 1
        while (piece := strings.get(_piece(name, number))) is not None:
            text, number = text + piece, number + 1
        objects[name.decode()] = json.decode(text, type=self._kind)


def _piece(name: bytes, number: int) -> bytes:
    return b"%b.%d" % (name, number) if number else name


# -- from a worker


class Ready(Command):
    """The worker takes requests."""


class Serve(Command):
    """Where the embedded model `key` answers, once it does.

    With the number that came with an earlier answer, the one which that was about, whatever has its key now.
    """

    arguments = [(b"key", Unicode()), (b"number", Integer())]
    response = [(b"url", Unicode()), (b"secret", Unicode()), (b"number", Integer())]
    errors = {ModelError: b"MODEL"}


class Release(Command):
    """The worker asks the embedded model of that number no more."""

    arguments = [(b"number", Integer())]


class Rule(Command):
    """A command has set a limit for all workers; answered once all obey."""

    arguments = [(b"ruling", Json(Ruling))]


class Use(Command):
    """A caller with a limit has used something at the worker."""

    arguments = [(b"used", Json(Used))]


class OtherCards(Command):
    """The sessions in the memory of all other workers."""

    response = [(b"cards", Json(list[SessionCard]))]


class Remove(Command):
    """Deletes a session of another worker; answered with its full id, which is empty if there is none."""

    # The id is what somebody has typed, of any length.
    arguments = [(b"session_id", Json(str)), (b"worker", Integer())]
    response = [(b"removed", Unicode())]
    errors = {AgentError: b"AGENT"}


class Everywhere(Command):
    """Has all other workers do an errand of the console's."""

    arguments = [(b"errand", Json(Errand))]
    response = [(b"findings", Json(list[Finding]))]


class ReadLog(Command):
    """Lines of the server's log behind `after`; with `wait` answered once there is one."""

    arguments = [(b"after", Integer()), (b"wait", Boolean())]
    response = [(b"log", Json(Log))]


class ReadFiles(Command):
    """Has all workers go by the operator's files as they are now."""

    response = [(b"outcome", Json(Reloaded))]


class Metrics(Command):
    """The text of `/metrics` for the whole server."""

    response = [(b"text", Json(str))]


# -- from the supervisor


class Cards(Command):
    """The sessions that are in the worker's memory."""

    response = [(b"cards", Json(list[SessionCard]))]


class Samples(Command):
    """What the worker has counted."""

    response = [(b"families", Json(list[Family]))]


class Answer(Command):
    """An errand of the console in another worker."""

    arguments = [(b"errand", Json(Errand))]
    response = [(b"finding", Json(Finding))]


class GoBy(Command):
    """The operator's files say something else now."""

    arguments = [(b"config", Json(Configuration))]
    response = [(b"outcome", Json(Reloaded))]


class Invite(Command):
    """Makes a link for a phone, to the server at `base`; "" where there are no pages."""

    arguments = [(b"base", Unicode())]
    response = [(b"link", Unicode())]


class Loaded(Command):
    """Whether the embedded model `key` is loaded."""

    arguments = [(b"key", Unicode()), (b"loaded", Boolean())]


class Obey(Command):
    """A limit that holds from now on."""

    arguments = [(b"ruling", Json(Ruling))]


class Count(Command):
    """A caller with a limit has used something at another worker."""

    arguments = [(b"used", Json(Used))]


class CountAnew(Command):
    """What callers with a limit have used at any worker, oldest first."""

    arguments = [(b"used", Json(list[Used]))]


class Ping(Command):
    """Whether the worker turns: the answer is all there is to it."""


class Stop(Command):
    """Finish the replies under way, and end."""


class Hurry(Command):
    """Do not wait for them any longer."""


class LinkEnd(AMP):
    """One end, without AMP's own lines in the log for each that comes and goes.

    It outlasts a question that fails for no foreseen reason. AMP would hang up, and end a worker with all its streams.
    """

    log = Logger()

    def dispatchCommand(self, box: AmpBox) -> Deferred[AmpBox]:
        """Answers one question."""
        answer: Deferred[AmpBox] = super().dispatchCommand(box)
        return answer.addErrback(self._failed, box[COMMAND].decode())

    def _failed(self, failure: Failure, command: str) -> Failure:
        if failure.check(RemoteAmpError):
            # That is how AMP puts those which are foreseen.
            return failure
        self.log.failure("while answering {command}", failure, command=command)
        return Failure(RemoteAmpError(UNKNOWN_ERROR_CODE, "the other side failed; its log says why"))

    def makeConnection(self, transport: Any) -> None:
        """It is there."""
        BinaryBoxProtocol.makeConnection(self, transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other side is gone; whatever it still had to answer fails."""
        BinaryBoxProtocol.connectionLost(self, reason)
