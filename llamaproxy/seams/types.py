"""What crosses the walls between rooms: small immutable values, and nothing that knows HTTP or a vendor."""

from array import array
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Literal

from msgspec import Struct

from .apps import NOTHING, USUAL, Allowance, AppSide
from .gates import Leave
from .grants import EVERYTHING, Grants
from .images import Image as Image
from .records import Record
from .spans import Span

Role = Literal["system", "user", "assistant", "tool"]


class Material(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a message that nobody typed: a file, a page, the result of a tool, a note of the app.

    `what` says in a few words what it is. A `passing` one is about the moment: it is read once, and not kept.
    """

    what: str
    text: str
    passing: bool = False


# Which commands a caller may use: all, those that look or concern the own session, or none.
Rights = Literal["all", "safe", "none"]


class Caller(Struct, frozen=True, kw_only=True):
    """Who asks: the session that the request belongs to, the address it came from, and what it may command.

    `owner` is set for the person who runs the server: they come from its own machine, or with a key that is
    theirs. A few commands are for them alone. `named_by` says in words what decided whose session it is.
    `depth` counts the delegations above the request: 0 for a person's own, more for another agent's. `source` is
    what shares limits: the name of the key that came along, or else the address. `allowance` is what their app may do,
    `profile` the name of what the operator wrote about such callers, "" for nothing, and `grants` what it grants them.
    """

    session_id: str
    address: str
    named_by: str = "address"
    rights: Rights = "all"
    owner: bool = False
    depth: int = 0
    source: str = ""
    allowance: Allowance = USUAL
    profile: str = ""
    grants: Grants = EVERYTHING


class Options(Struct, frozen=True, kw_only=True):
    """What a client may ask of the generation itself, where its message goes straight to the model.

    `json_schema` is a JSON schema the answer must follow, `{}` for any JSON, None for free text. `think` turns
    reasoning on or off or sets its effort; None leaves it to the model's entry.
    """

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    think: bool | str | None = None


class Unanswered(Struct, frozen=True):
    """An earlier message of the user to which the app shows no answer, and the place behind it in the app's history."""

    text: str
    place: str


class ChatTurn(Struct, frozen=True, kw_only=True):
    """One user message on its way to the agent, whatever dialect it came in.

    `text` is what the person typed, `material` what their app put beside it; only the person's words may be commands.
    They are not `commandable` where they came in several pieces, of which one may be a file's. Messages that stand
    `unanswered` before it in the app belong to it.

    `trail` is the shape of the app's own history: a digest of the user's messages up to each place in it where it was
    somebody else's turn, the last one with this message and the one before without it. "" stands for none; a long
    one lacks its beginning. Empty if the app shows no history. `shown` says of each of these places how the answer
    begins that the app shows there (see `Given.opening`), None where it shows none; behind this message it is an answer
    that is to go on. `attempt` counts the tries of a client that sends a message again when it gets no answer: 0 for
    the first; None if the client does not say, which most do not. `shows_history` says that the client is known to be
    an app that sends its history with every message.

    `app` is what the app brings along, as far as its operator allows that.
    """

    text: str
    material: tuple[Material, ...] = ()
    commandable: bool = True
    unanswered: tuple[Unanswered, ...] = ()
    images: tuple[Image, ...] = ()
    options: Options = Options()
    trail: tuple[str, ...] = ()
    shown: tuple[str | None, ...] = ()
    attempt: int | None = None
    shows_history: bool = False
    record: Record | None = None
    app: AppSide = NOTHING

    def digest(self) -> str:
        """The same for what `repeats` it, in every process."""
        whole = repr((self.text, self.trail, self.images, self.material, self.app.results))
        return sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()

    def repeats(self, other: "ChatTurn") -> bool:
        """Whether it is the same message at the same place of the app's history."""
        mine = (self.text, self.trail, self.images, self.material, self.app.results)
        return mine == (other.text, other.trail, other.images, other.material, other.app.results)


class ToolCall(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A finished tool call of a model; `arguments` is JSON text as the model wrote it.

    `extra` is what the model's server wants back with the call (a signature, say), by back end; see `Message`.
    """

    id: str
    name: str
    arguments: str
    extra: dict[str, dict[str, Any]] = {}


class Access(Struct, frozen=True, kw_only=True):
    """What a tool call would touch: the gate's name, the side of it, and for a database the tables by side.

    `operation` None means that the call needs no gate. `reads` and `writes` are table names; a database call that
    names no table is gated as `__meta__`, and `*` stands for all tables. What the call `shows` something of is in its
    way only where it is shut by name. `schema` is the one that a bare name belongs to. `doubt` names a call that cannot
    be judged, which every table that is shut by name then shuts.
    """

    operation: Literal["read", "write"] | None
    gate: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    shows: tuple[str, ...] = ()
    schema: str = ""
    doubt: str = ""


class ToolAnswer(Struct, frozen=True):
    """What a tool answers where that is more than text: pictures, for models that see."""

    text: str
    images: tuple[Image, ...] = ()


def unseen(who: str, text: str) -> None:
    """Shows the text to nobody."""


class ToolContext(Struct, frozen=True, kw_only=True):
    """What a running tool knows of its caller. `reactor` gives it timers and sockets.

    `depth` counts the delegations above this call (`llm_call`, `agent_call`): 0 in a turn of the user's own.
    `show(who, text)` gives the user a piece of what somebody says, beside the answer, while the tool runs. `leave` is
    what the call may touch of a database; None for one that no gate stands before, since a person made it. `asks` says
    that the user can be asked (see `AsksUser`), `answer` is what they said to the last question of this very call: ""
    for a mere yes, None if there was none. `span` is the cause of what the tool asks of others.
    """

    session_id: str
    address: str
    reactor: Any
    depth: int = 0
    show: Callable[[str, str], None] = unseen
    leave: Leave | None = None
    asks: bool = False
    answer: str | None = None
    span: Span | None = None


class Mark(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a message of the user stood in the app's own history: the `ChatTurn.trail` before and after it.

    `linked` says that this history showed the turn that is stored before it.
    """

    before: str
    after: str
    linked: bool = False


class Given(Struct, frozen=True, kw_only=True):
    """What an app got as an answer: at which place of its history (`ChatTurn.trail`), and how it began.

    `opening` are the first letters and digits of all that was sent, with nothing between them, so that it stays what it
    is however an app shows it.
    """

    place: str
    opening: str


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a session's history, and of the prompt made from it.

    `interrupted` marks an assistant's text that ended early: the client left, the user said `!stop`, or the
    model failed in the middle. `mark` is only on messages of the user, and so is `material`, which was sent beside
    their words; `given` is on the last message of a turn. `extra` is what the server of an assistant's message wants
    back with it (its thoughts with their signatures, say), by back end: no other server ever sees it.
    """

    role: Role
    content: str
    material: tuple[Material, ...] = ()
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    interrupted: bool = False
    mark: Mark | None = None
    given: Given | None = None
    extra: dict[str, dict[str, Any]] = {}


class Text(Struct, frozen=True, gc=False):
    """A piece of the answer."""

    text: str


class Reasoning(Struct, frozen=True, gc=False):
    """A piece of what the model thinks before it answers; not part of the answer."""

    text: str


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A piece of a tool call; pieces with one `index` belong together, `arguments` adds up to JSON text."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


# What a model streams to the agent, and what the agent streams to a dialect. `Text` and `Reasoning` pass through
# the agent as they are, so that a token costs no second object.
ModelDelta = Text | Reasoning | ToolCallDelta
AgentEvent = Text | Reasoning


class Usage(Struct, frozen=True):
    """Token counts of one turn."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class ModelRequest(Struct, frozen=True, kw_only=True):
    """One completion asked of a model: the whole prompt, and the tools that it may call.

    `tools` are JSON-schema function definitions: `{"name", "description", "parameters"}`. `session_id` is for
    back ends that keep a history of their own; it is empty for a call outside any session. `depth` counts the
    delegations above the call, which a back end passes on to where more agents may be. `timeout` is in seconds,
    for the whole call; None leaves it to the model's entry. With `must_call` the answer has to be a call of one of the
    tools, where the back end has a way to say so. `span` is what a back end over HTTP is told as the cause,
    `request_id` what log lines about it begin with.
    """

    messages: Sequence[Message]
    tools: Sequence[dict[str, Any]] = ()
    options: Options = Options()
    session_id: str = ""
    depth: int = 0
    timeout: float | None = None
    must_call: bool = False
    span: Span | None = None
    request_id: str = ""


# How an answer ended. The last three say that there would have been more: a filter took it, the model refused to go on,
# or its server wants to be asked again.
Finish = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause_turn"]


class ModelResult(Struct, frozen=True, kw_only=True):
    """How a completion ended.

    `usage` is None when the provider reports none. `stop_sequence` is the text of `Options.stop` that ended it, from
    the few providers that say so. `load_seconds` is what it took to have the model ready
    (starting the embedded one), 0 for a model that is always there. `extra` is that of the `Message` to be made of it.
    """

    finish_reason: Finish = "stop"
    usage: Usage | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    stop_sequence: str | None = None
    load_seconds: float = 0.0
    extra: dict[str, dict[str, Any]] = {}


class ReplyEnd(Struct, frozen=True, kw_only=True):
    """How a reply ended, with its real counts and times; durations are integer nanoseconds.

    `stop_sequence` is as in `ModelResult`, for the last of its completions. `tool_calls` are those that the app is to
    run, whose results carry the turn on.
    """

    finish_reason: Finish = "stop"
    stop_sequence: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_duration: int = 0
    eval_duration: int = 0


class ModelInfo(Struct, frozen=True, kw_only=True):
    """What the outside may know of a model: for lists, cards and `!model`.

    `key` is its registry name, `kind` its type (`LOCAL`, `OPENAI`, ...), `context_length` is in tokens and
    `embedding_length` in numbers per token (0 when unknown), `size` in bytes (0 for a remote model), `modified_at`
    in Unix seconds. An `embedding` model makes vectors of texts and cannot be talked to. `tells_calls` says that its
    server tells tool calls from text, always, so that its text holds none.
    """

    key: str
    model_id: str
    kind: str
    description: str = ""
    enabled: bool = True
    vision: bool = False
    context_length: int = 0
    embedding_length: int = 0
    size: int = 0
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    modified_at: float = 0.0
    loaded: bool = True
    embedding: bool = False
    tells_calls: bool = False


class Embeddings(Struct, frozen=True, kw_only=True):
    """The vectors (of doubles) of some texts, in the texts' order; `prompt_tokens` is 0 where nobody counted."""

    vectors: tuple["array[float]", ...]
    prompt_tokens: int = 0


class SessionCard(Struct, frozen=True, kw_only=True):
    """What lists of sessions show of one that is in memory."""

    session_id: str
    short_id: int
    address: str
    model: str
    message_count: int


class Spot(Struct, frozen=True):
    """A point of a conversation: after the first `length` messages of one of its branches, counted from its root."""

    branch: int
    length: int


class Branch(Struct, frozen=True, kw_only=True):
    """A branch of a conversation: it shares its first `begins` messages with another one, and has `length` in all.

    `words` are the first of its own, `ending` is the opening of its last answer (see `Given`). `active` is the one that
    the session goes on with.
    """

    number: int
    begins: int
    length: int
    words: str
    ending: str
    active: bool


class Trace(Struct, frozen=True):
    """A message in the store by its place in an app's history, with the point right after it.

    `opening` is that of an answer (see `Given`), None for a message of the user.
    """

    place: str
    opening: str | None
    spot: Spot


class Resting(Struct, frozen=True):
    """What the store tells of a session without its words: when it was last used, in Unix seconds, and its bytes."""

    session_id: str
    last_active: float
    size: int


class StoredSession(Struct, frozen=True, kw_only=True):
    """A session as the store gives it back: `messages` are the newest ones of its active branch, oldest first.

    `message_count` is the length of the active branch; times are Unix seconds.
    """

    session_id: str
    model: str
    settings: dict[str, Any]
    messages: tuple[Message, ...]
    message_count: int
    created_at: float
    last_active: float
    branch: int = 1


class Taken(Struct, frozen=True, kw_only=True):
    """That this node has a session's turn now.

    `current` says whether all that was written of the session is known here, or another node has written since. A `new`
    one was never written, as far as this node knows. It `waited` if another turn was under way, which is `answered` if
    its answer may have come meanwhile, and not before the wait began. `memo` is what was left when the turn was given
    back last.
    """

    current: bool
    new: bool = False
    waited: bool = False
    answered: bool = False
    memo: str = ""
