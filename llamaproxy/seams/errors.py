"""The tree of errors a client may hear of.

Each has a `status` (the HTTP status it becomes before a stream starts), a `code` (a stable word for programs)
and a message written for the person in front of the app. They become bytes in one place, `web.errors`.
"""

from copy import copy
from typing import TYPE_CHECKING, Any, Self

from .gates import Need
from .visible import visible

if TYPE_CHECKING:  # agentctl comes here, and does without Twisted
    from twisted.internet.defer import Deferred


# Where the store is, in the message of a `StoreError`.
PLACE = "{place}"


class AgentError(Exception):
    """Something the client should hear; the message is shown to the user as it is."""

    status = 500
    code = "internal_error"
    # Seconds after which the client may try again; None when trying again by itself would do harm or no good.
    retry_after: int | None = None

    def __str__(self) -> str:
        """The message. What others said is in it, and reaches logs and terminals: none of it acts there."""
        return visible(super().__str__(), lines=True)

    def afresh(self) -> "AgentError":
        """The same error without its history, to be kept: tracebacks hold all that was going on when it came."""
        return copy(self)


class BadRequest(AgentError):
    """The request cannot be understood."""

    status, code = 400, "invalid_request"


class TooLarge(AgentError):
    """The request's body or head is over the limit."""

    status, code = 413, "request_too_large"


class Forbidden(AgentError):
    """The caller may not come in, or may not do this."""

    status, code = 403, "forbidden"


class Unauthorized(AgentError):
    """The caller's key is missing or wrong."""

    status, code = 401, "invalid_api_key"


class NotFound(AgentError):
    """There is no such path."""

    status, code = 404, "not_found"


class NoSuchModel(NotFound):
    """There is no model of that name."""

    code = "model_not_found"


class NoEmbedder(BadRequest):
    """There is no model here that makes embeddings."""

    code = "no_embedding_model"


class Busy(AgentError):
    """The session's queue is full."""

    status, code, retry_after = 429, "queue_full", 5


class OverLimit(AgentError):
    """The caller's profile grants no more for now."""

    status, code = 429, "rate_limited"

    @classmethod
    def of(cls, what: str, seconds: int) -> Self:
        """`what` is used up, for so many seconds."""
        error = cls(f"{what} are used up. Try again in {seconds} s.")
        error.retry_after = seconds
        return error


class Crowded(AgentError):
    """Too much of one kind is under way for everybody together."""

    status, code, retry_after = 503, "overloaded", 5


class Repeating(AgentError):
    """The same message came over and over; not with a status that clients answer by sending it again."""

    status, code = 400, "repeated_message"


class Continued(AgentError):
    """The same message came again on another connection, where its answer goes on."""

    status, code = 409, "continued_elsewhere"


class Stopping(AgentError):
    """The server is shutting down."""

    status, code = 503, "stopping"


class StoreError(AgentError):
    """The turn could not be saved.

    `PLACE` in the message stands for the `place` of the store. Users hear it without; `told` is for the operator.
    """

    status, code = 500, "store_error"

    def __init__(self, message: str, place: object = "") -> None:
        super().__init__(message.replace(PLACE, ""))
        self.told = visible(message.replace(PLACE, f" {place}"), lines=True)


class StoreUnavailable(StoreError):
    """The store cannot be reached; nothing was written, and it comes back by itself."""

    status, code, retry_after = 503, "store_unavailable", 5


class NotYetStored(StoreError):
    """Another program holds the store: what was to be kept is in memory, and is written once that lets go.

    `written` fires then with what the call would have, or fails as it would have. A failure that nobody looks at is in
    the log.
    """

    written: "Deferred[Any]"


class ModelError(AgentError):
    """The model's back end failed; the message names the model and what its server said.

    `said` is all that the server said, for who can learn from it, and not for the user. `refused` says that it heard
    the whole question and refused it as it stands: put otherwise, the same question may be answered.
    """

    status, code = 502, "model_error"
    said = ""
    refused = False

    def for_good(self) -> Self:
        """Marks it as a refusal of what will be refused again: a wrong key, a model that is not there.

        Its status is none that programs repeat by themselves.
        """
        self.status, self.code = 424, "model_refused"
        return self


class ModelUnavailable(ModelError):
    """The back end cannot be reached or is not ready; nothing was sent, so another try may succeed."""

    code = "model_unavailable"


class ModelTimeout(ModelError):
    """The back end kept silent for longer than its entry allows."""

    status, code = 504, "model_timeout"


class ModelRateLimited(ModelError):
    """The back end answered 429."""

    status, code = 429, "model_rate_limited"


class ContextTooLong(ModelError):
    """The back end refused the prompt for its length; the token counts are 0 where it did not say."""

    status, code = 400, "context_too_long"

    def __init__(self, message: str, prompt_tokens: int = 0, context_length: int = 0) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length


class ToolError(AgentError):
    """A tool call failed; the message goes to the model, which goes on, and not to the client."""

    code = "tool_error"


class GateClosed(ToolError):
    """The tool has found out that it needs one more gate open; nothing was done."""

    def __init__(self, need: Need) -> None:
        super().__init__(f"nothing was done, for the user has not allowed to {need.what}")
        self.need = need


class AsksUser(ToolError):
    """A tool has a question for the user, which is the message; the call goes on when it is made again with an answer.

    Only where `ToolContext.asks` says that they can be asked.
    """


def let_go(error: BaseException) -> None:
    """Frees what the tracebacks of an error hold, and those of the errors that led to it."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        pending += (each.__cause__, each.__context__)
        each.__traceback__ = None
        each.__cause__ = each.__context__ = None
