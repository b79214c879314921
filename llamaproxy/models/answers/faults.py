"""Errors that come in a stream, or with a status of 200: in every shape, and told in the server's own words."""

import re
from typing import Any

from ...seams.errors import ModelError, ModelRateLimited, ModelUnavailable
from ..upstream.refusals import UNREADABLE, error_of, first_line, message_of
from ..upstream.wire import encode
from .kindly import anything

_CODES = ("code", "status", "status_code", "type", "http_status", "statusCode")
_OVERLOADED = re.compile(r"overload|unavailable|\b(?:502|503|504|529)\b", re.IGNORECASE)
# Words of an error that says no more than a status does.
_MOST_WORDS = 3
_LIMITED = re.compile(r"rate.?limit|too.?many.?requests|resource.?exhausted|throttl|\b429\b", re.IGNORECASE)


def fault(who: str, error: Any) -> ModelError:
    """What a server reported with a status of 200, as if by the status that it means."""
    said = message_of(error) or first_line(_json(error)) or "no explanation"
    error = _innermost(error)
    known = error_of(who, error, said)
    if type(known) is not ModelError:
        return known
    signs = " ".join(str(error.get(name, "")) for name in _CODES) if isinstance(error, dict) else ""
    if len(said.split()) <= _MOST_WORDS:
        # A code, or a status in words; in a sentence the same word may be about something else.
        signs += f" {said}"
    if _LIMITED.search(signs):
        return ModelRateLimited(str(known))
    if _OVERLOADED.search(signs):
        return ModelUnavailable(str(known))
    return known


def is_fault(error: Any) -> bool:
    """Whether what stands in a field named `error` is one."""
    if isinstance(error, dict):
        return any(error.values())
    return isinstance(error, str | list) and bool(error)


def fault_in(frame: Any) -> Any:
    """The error in a frame that holds nothing of an answer; None if it is none, but say a sign of life."""
    if not isinstance(frame, dict):
        return None
    for name in ("error", "errors", "detail"):
        if is_fault(frame.get(name)):
            return frame
    kinds = (frame.get("object"), frame.get("type"), frame.get("status"))
    if any(isinstance(kind, str) and "error" in kind.lower() for kind in kinds):
        return frame
    if frame.get("success") is False or any(_is_refusal(frame.get(name)) for name in _CODES):
        return frame
    base = frame.get("base_resp")
    return base if isinstance(base, dict) and base.get("status_code") else None


def no_stream(who: str, body: bytes) -> ModelError:
    """The error for a body that begins with something else than a stream, and has nothing of an answer."""
    try:
        said = message_of(anything(body))
    except UNREADABLE:
        said = ""
    said = said or first_line(body.decode("utf-8", "replace"))
    return ModelError(f"{who} answered with something other than a stream: {said}")


def _is_refusal(status: Any) -> bool:
    """Whether this is one of HTTP's."""
    text = str(status)
    return len(text) == 3 and text.isdecimal() and text >= "400"


def _innermost(error: Any) -> Any:
    """The object that says what kind of error it is."""
    while True:
        if isinstance(error, list) and error:
            error = error[0]
        elif isinstance(error, dict) and isinstance(error.get("error"), dict | list) and error["error"]:
            error = error["error"]
        else:
            return error


def _json(value: Any) -> str:
    return "" if value in (None, "", [], {}) else encode(value).decode()
