"""Ollama's dialect, the management of models: what an app may ask, and why it is told no.

The agent's models are its operator's. An app may "pull" one that is there, as setup wizards and `ollama pull` do, and
sees it done; everything else is refused in words that its user can act on.

Source: Ollama's `api/types.go` and `server/routes.go` (0.33), and what its `cmd/cmd.go` prints.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.json import Decoder

from ..seams.errors import AgentError, BadRequest, Forbidden, NoSuchModel, NotFound
from ..seams.types import ModelInfo
from .base import to_json
from .body import Name, decode_body
from .names import matches
from .ollama_models import digest

# How many models an error lists for somebody who asked for another one.
_SUGGESTIONS = 5


class PullRequest(Struct, frozen=True):
    """What POST /api/pull asks for."""

    model: str
    stream: bool


class _PullBody(Struct):
    model: Name | None = None
    name: Name | None = None
    stream: bool | None = None


class _CopyBody(Struct):
    source: Name | None = None
    destination: Name | None = None


_pull_body = Decoder(_PullBody)
_copy_body = Decoder(_CopyBody)


def parse_pull(body: bytes) -> PullRequest:
    """Body of POST /api/pull, which names the model as `model` or `name`."""
    pull = decode_body(body, _pull_body)
    name = pull.model or pull.name
    if not name:
        raise BadRequest("model: a name is needed")
    return PullRequest(name, pull.stream is not False)


def parse_copy(body: bytes) -> str:
    """Body of POST /api/copy: the model to be copied."""
    copy = decode_body(body, _copy_body)
    for field in ("source", "destination"):
        if not getattr(copy, field):
            raise BadRequest(f"{field}: a name is needed")
    return copy.source or ""


def pull(request: PullRequest, models: Sequence[ModelInfo]) -> bytes:
    """The progress of a pull, in one piece as there is nothing to wait for; whole or as lines.

    A model that is not there fails a whole answer with NoSuchModel. In a stream the error is a line of its own
    after the first, as Ollama has it: the CLI prints the text of that one alone.
    """
    info = next((info for info in models if matches(request.model, info.key)), None)
    if info is None:
        problem = _not_served(request.model, models)
        if not request.stream:
            raise NoSuchModel(problem)
        return _line(status="pulling manifest") + _line(error=problem)
    if not request.stream:
        return to_json({"status": "success"})
    # Of a model without weights here there is nothing to show as a bar.
    weights = f"sha256:{digest(info)}"
    bar = {"digest": weights, "total": info.size, "completed": info.size}
    layer = _line(status=f"pulling {weights[7:19]}", **bar) if info.size else b""
    return (
        _line(status="pulling manifest")
        + layer
        + _line(status="verifying sha256 digest")
        + _line(status="writing manifest")
        + _line(status="success")
    )


def refusal(deed: str) -> AgentError:
    """Why an app may not do `deed` ("delete", say) to the models."""
    return Forbidden(
        f"Apps cannot {deed} models here: they are managed by the operator of this agent, "
        "with agentctl on its server."
    )


def no_blob() -> AgentError:
    """What HEAD /api/blobs/DIGEST hears: no blob is there, and POST would be refused."""
    return NotFound("There are no blobs here.")


def no_account() -> AgentError:
    """What the CLI's questions about an account at ollama.com hear. A 401 would send its user to a sign-in page."""
    return NotFound("This is an agent of its own, without an account at ollama.com; none is needed.")


def _not_served(name: str, models: Sequence[ModelInfo]) -> str:
    # Not in Ollama's words for it, which make the CLI look for a model of that name at ollama.com.
    there = ", ".join(info.key for info in models[:_SUGGESTIONS])
    return f"model '{name}' is not served here; try {there}. The operator can add models with agentctl."


def _line(**fields: object) -> bytes:
    return to_json(fields) + b"\n"
