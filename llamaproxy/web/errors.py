"""The one place where an exception becomes bytes, in the dialect of the client."""

from http import HTTPStatus

from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ..dialects import anthropic, ollama, openai
from ..dialects.base import WireDialect
from ..dialects.detect import Dialect, detect
from ..seams.errors import AgentError, NotFound, Stopping
from .placed import PlacedRequest, head_of
from .quirks import Quirks, quirks_of

log = Logger()


class WrongMethod(AgentError):
    """The path exists, but not with this method; `allowed` are those it takes."""

    status, code = 405, "method_not_allowed"

    def __init__(self, message: str, allowed: list[str]) -> None:
        super().__init__(message)
        self.allowed = allowed


def dialect_of(request: PlacedRequest) -> WireDialect:
    """The dialect to answer in: the endpoint's own, or for a path that is nobody's the likely one of the app."""
    path = request.plain_path
    if path.startswith("/v1/"):
        # Every request of Anthropic's clients has this header; it tells their model lists from OpenAI's.
        lists = path.startswith("/v1/models") and request.getHeader(b"anthropic-version")
        return anthropic if lists or path.startswith("/v1/messages") else openai
    if path.startswith("/api/"):
        return ollama
    user_agent = request.getHeader(b"user-agent") or b""
    return openai if detect(path.encode(), user_agent) is Dialect.OPENAI else ollama


def as_agent_error(failure: Failure, request: PlacedRequest) -> AgentError:
    """What the client may hear of a failure. One that nobody foresaw is logged, and told without its details."""
    match failure.value:
        case AgentError() as error:
            return error
        case MethodNotAllowed(valid_methods=methods):
            allowed = sorted(methods or ())
            return WrongMethod(f"Method not allowed; this path takes {', '.join(allowed)}.", allowed)
        case HTTPException(code=404):
            return NotFound(f"There is nothing at {request.path.decode('ascii', 'replace')} here.")
        case CancelledError():
            return Stopping("The server is shutting down. Try again in a moment.")
    log.failure("while answering {id} at {path}", failure, id=request.request_id, path=request.path)
    return AgentError("Internal error. The server's log says more.")


def answer(request: PlacedRequest, error: AgentError) -> bytes:
    """Sets status and headers for an answer that has not begun, and gives its body."""
    quirks = quirks_of(head_of(request))
    dialect = openai if quirks.openai_errors else dialect_of(request)
    body = dialect.error(error, request.request_id)
    status = _status(error, quirks)
    # Twisted has no words for the newer ones, and there are clients that show nothing else.
    request.setResponseCode(status, HTTPStatus(status).phrase.encode("ascii"))
    request.setHeader(b"content-type", dialect.JSON_TYPE)
    request.setHeader(b"content-length", b"%d" % len(body))
    if error.retry_after is not None:
        request.setHeader(b"retry-after", b"%d" % error.retry_after)
    elif quirks.no_retry_header:
        request.setHeader(b"x-should-retry", b"false")
    if isinstance(error, WrongMethod):
        request.setHeader(b"allow", ", ".join(error.allowed).encode("ascii"))
    return body


def farewell(request: PlacedRequest, error: AgentError) -> bytes:
    """A whole response to a request that could not be read to its end; the connection closes after it."""
    body = answer(request, error)
    request.setHeader(b"connection", b"close")
    headers = [
        (name, value) for name, values in request.responseHeaders.getAllRawHeaders() for value in values
    ]
    lines = [b"HTTP/1.1 %d %s" % (request.code, request.code_message), *map(b": ".join, headers), b"", body]
    return b"\r\n".join(lines)


def _status(error: AgentError, quirks: Quirks) -> int:
    if error.status == 401:
        return quirks.unauthorized
    if error.code == "model_refused":
        return quirks.refused
    repeated = error.retry_after is None and (error.status in (408, 409, 429) or error.status >= 500)
    return quirks.no_retry_status if repeated and quirks.no_retry_status else error.status
