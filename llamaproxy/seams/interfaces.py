"""The seams: where a stranger plugs in a model back end, a session store or a whole agent.

Streams run through these interfaces as plain method calls in the manner of `IConsumer` and `IPushProducer`:
data goes down, `pauseProducing` / `resumeProducing` / `stopProducing` come back up. No Deferred per token.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface

from .errors import AgentError
from .kits import Kit
from .limits import Ruling, Used
from .records import Record
from .types import (
    Access,
    AgentEvent,
    Branch,
    Caller,
    ChatTurn,
    Embeddings,
    Message,
    ModelDelta,
    ModelInfo,
    ModelRequest,
    ModelResult,
    ReplyEnd,
    Resting,
    SessionCard,
    Spot,
    StoredSession,
    Taken,
    ToolContext,
    Trace,
)


class IDeltaReceiver(Interface):
    """Takes what a model streams. Belongs to one `IModel.chat` call."""

    def registerProducer(producer: IPushProducer) -> None:
        """`producer` can hold the model's stream; called before the first `deltasReceived`.

        If the receiver already wants the stream held, it calls `producer.pauseProducing()` from in here.
        """

    def unregisterProducer() -> None:
        """The stream is over or broken; the producer must not be called any more."""

    def deltasReceived(deltas: Sequence[ModelDelta]) -> None:
        """All deltas parsed from one received segment, in order; never empty.

        May be called a few more times after a pause, for what had already been read from the socket.
        """


class IBackEnd(Interface):
    """One entry of `llm-models.json`: what models to talk to and models that make embeddings have in common."""

    def info() -> ModelInfo:
        """What lists and cards show. Cheap; never blocks."""

    def start() -> Deferred[None]:
        """Called once when the server starts; may begin loading, and must not wait for it.

        Fails with a `ModelError` only when the entry can never work (weights missing, say).
        """

    def stop() -> Deferred[None]:
        """Called once when the server stops; fires when nothing of the model is left running."""


class IModel(IBackEnd):
    """A model to talk to."""

    def chat(request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        """Asks for one completion and streams it to `receiver`.

        Fires with how it ended, after the last delta. Fails with a `ModelError` (or a subclass); never with
        a transport's own exception. Cancelling the Deferred closes the connection at once, paused or not.
        """


class IEmbedder(IBackEnd):
    """A model that makes embeddings."""

    def embed(texts: Sequence[str], dimensions: int | None = None) -> Deferred[Embeddings]:
        """A vector for each of `texts`, of that many `dimensions` where the model has a choice.

        Fails with a `ModelError`. Cancelling the Deferred closes the connection at once.
        """


class IKeepsHistory(Interface):
    """A model with a history of its own of each session, which must go when the session's does."""

    def forget(session_id: str) -> None:
        """Begins to forget what was said in the session; returns at once, and never fails."""

    def rewind(session_id: str) -> None:
        """The conversation goes on from another point than its end; the next request shows what there is of it.

        As `forget` otherwise.
        """


class IReplyConsumer(Interface):
    """Takes the events of one reply. Exactly one of `replyFinished` and `replyFailed` comes, and comes last."""

    def eventsReceived(events: Sequence[AgentEvent]) -> None:
        """All events made from one segment of the model's stream, in order; never empty."""

    def replyFinished(end: ReplyEnd) -> None:
        """The reply is complete and its turn is committed to the store."""

    def replyFailed(reason: Failure) -> None:
        """The reply broke off; `reason.value` is an `AgentError`."""


class IReply(IPushProducer):
    """One answer of the agent, as a push producer of `AgentEvent`s."""

    def deliverTo(consumer: IReplyConsumer) -> None:
        """Starts the flow. Called once; what had been waiting is delivered from in here."""

    def stopProducing() -> None:
        """The client left: stops the model, and keeps what was said so far as interrupted."""

    def leaveUnheard() -> None:
        """The client left and was told nothing: as `stopProducing`, but the turn of one that numbers its tries
        (`ChatTurn.attempt`) is kept for a while, as it may come again.
        """


class IAgent(Interface):
    """What the web room talks to."""

    def turn(caller: Caller, turn: ChatTurn) -> Deferred[IReply]:
        """Runs one turn of the caller's session.

        Fires as soon as there is something to say, so that a failure before the first token still is an HTTP
        status. Fails with an `AgentError`. Cancelling it is `IReply.leaveUnheard`, in the session's queue too.

        A message that the caller sends again while its turn runs or waits joins that turn: it hears the reply from
        its beginning. So does, for a while, another try of one whose turn has ended.
        """

    def aside(caller: Caller, turn: ChatTurn, system: str = "") -> Deferred[str]:
        """One completion outside any session, without history, tools or commands, by the model sessions start with.

        Fires with its text, "" for none. Fails with an `AgentError`, also where the caller has too many of them
        under way. Cancelling it stops the model.
        """

    def models() -> Sequence[ModelInfo]:
        """The enabled models to talk to, in the registry's order."""

    def estimate(messages: Sequence[Message]) -> int:
        """About how many tokens the messages are."""

    def embedders() -> Sequence[ModelInfo]:
        """The enabled models that make embeddings, in the registry's order."""

    def embed(texts: Sequence[str], model: str = "", dimensions: int | None = None) -> Deferred[Embeddings]:
        """Embeddings of `texts`, outside any session.

        By the embedder whose key is `model`, else by the first one. Fails with `NoEmbedder` if there is none,
        else as `IEmbedder.embed` does.
        """


class IRecorder(Interface):
    """Keeps what is noted of turns."""

    def begin(record: Record) -> None:
        """A turn begins; the record is filled in by whoever works on it."""

    def end(record: Record) -> None:
        """The turn is over, and nobody writes into its record any more."""

    def errand(session_id: str, what: str) -> None:
        """An app's own question was answered beside the session's newest turn."""

    def last(session_id: str) -> Record | None:
        """The record of the session's last turn that asked a model, None if there is none."""


class ISessionStore(Interface):
    """Sessions at rest. Every method returns once the change is durable against a crash of the process.

    A conversation is a tree that only grows: each branch shares its beginning with another one, and one of them is
    active, at first branch 1. Only `clear` and `delete` remove words.
    """

    def open() -> Deferred[None]:
        """Makes the store ready. Fails with `StoreError`, in words for the operator."""

    def close() -> Deferred[None]:
        """Finishes what is under way and lets go of the files or connections."""

    def load(session_id: str, limit: int) -> Deferred[StoredSession | None]:
        """The session with the newest `limit` messages of its active branch, or None."""

    def append(session_id: str, messages: Sequence[Message], after: Spot | None = None) -> Deferred[int]:
        """Adds one turn's messages in one transaction; its cost does not depend on the history's length.

        They go to the end of the active branch, or `after` a spot. If that is not the end of its branch, a new branch
        begins there. Fires with the branch that has them, which is the active one then.
        """

    def save_settings(session_id: str, model: str, settings: dict[str, Any]) -> Deferred[None]:
        """Keeps the session's active model and its other settings; makes the session if it is new."""

    def at_rest() -> Deferred[Sequence[Resting]]:
        """Every session there is, in no order; reads all of the store."""

    def branches(session_id: str) -> Deferred[Sequence[Branch]]:
        """All branches, by their numbers."""

    def take_up(session_id: str, branch: int) -> Deferred[bool]:
        """Makes a branch the active one; fires with whether there is such a branch."""

    def step_back(session_id: str) -> Deferred[int | None]:
        """Makes the branch active that was so before the active one; fires with its number, None if there was none."""

    def holding(setting: str) -> Deferred[Sequence[str]]:
        """The ids of the sessions whose settings have that one."""

    def find(session_id: str, places: Sequence[str]) -> Deferred[Sequence[Trace]]:
        """The messages (`Mark.after`) and answers (`Given.place`) on any branch at these places of an app's history.

        A few hundred at most, the newest first.
        """

    def clear(session_id: str) -> Deferred[int]:
        """Forgets the messages of all branches, keeps the settings; fires with the number of messages that went."""

    def delete(session_id: str) -> Deferred[bool]:
        """Forgets the session; fires with whether it existed."""


class ISharedStore(ISessionStore):
    """A store that several nodes share, each of them a server with an agent of its own.

    Whoever has the turn of a session may write it. A node that has lost the turn to another one, because the store no
    longer heard of it, writes nothing: its `append` fails.
    """

    reachable = Attribute("Whether the others can see this node at the moment.")

    def take(session_id: str, waits: Callable[[], None]) -> Deferred[Taken]:
        """Fires once this node has the session's turn, in the order in which nodes asked.

        `waits` is called if it has to wait for another turn. Cancelling it is to wait no more.
        """

    def give_back(session_id: str, memo: str) -> None:
        """The turn is over; another node may have it, with the memo."""

    def is_current(session_id: str) -> Deferred[bool]:
        """Whether all that was written of the session is known here, without its turn."""


class IPeer(Interface):
    """What a process of the server does for the others."""

    def obey(ruling: Ruling) -> None:
        """Makes a ruling hold here."""

    def cards() -> Sequence[SessionCard]:
        """The sessions that are in memory here."""

    def remove(session_id: str) -> Deferred[str]:
        """Deletes a session of this process; fires with its full id, "" if there is none."""

    def stop_turn(session_id: str, job: int) -> bool:
        """Ends the turn that runs in a session here, or the job of that number there; whether there was one."""

    def keep_turn(session_id: str, message: str) -> None:
        """The client of that message (`ChatTurn.digest`) waits in another process: for what it is answered here, or for
        its turn after others. "" is a message that cannot be known again.
        """

    def forget(session_id: str) -> None:
        """A session was deleted elsewhere."""

    def break_off(error: AgentError) -> None:
        """Ends all turns that run here: they have lost their sessions."""

    def count(used: Used) -> None:
        """Counts what was used elsewhere."""

    def count_anew(used: Sequence[Used]) -> None:
        """Forgets what was counted, and counts what was used anywhere, oldest first."""

    def take_up() -> None:
        """Another process has gone, or this one has another number: jobs that were theirs go on here."""


class IPeers(Interface):
    """The server's other processes, if there are any.

    Each session belongs to one process alone, or else they share a store that says whose turn it is.
    """

    processes = Attribute("How many there are, this one included.")
    names = Attribute("What the others are called, where they are servers by themselves.")
    number = Attribute("What this process is known by; no other has had it, and none will.")

    def join(peer: IPeer) -> None:
        """Makes this process known to the others; called once, before its first turn."""

    def short_ids() -> Iterator[int]:
        """The short ids that this process may give, endlessly."""

    def tell_live(number: int) -> None:
        """So many users have sessions in memory here now."""

    def live_in_all() -> int:
        """How many have, here and elsewhere."""

    def tell_user(session_id: str, source: str, talks: bool) -> None:
        """A session in memory here is that of one user more, or is so no more."""

    def admit(session_id: str, source: str, most: int, share: int) -> Deferred[str] | None:
        """Lets one more user in, counted over all processes; None where each process counts its own.

        `most` are all users, `share` those from one source. If there are as many, one who rests is put away. Fires with
        "" or what stands in the way, `FROM_THERE` or `IN_ALL`. Fails with `StoreError`.
        """

    def tell_used(used: Used) -> None:
        """A caller with a limit has used so much here."""

    def rule(ruling: Ruling) -> Deferred[None]:
        """Has every process obey, this one too; fires once they do, or will for sure."""

    def sessions() -> Deferred[Sequence[SessionCard]]:
        """The sessions that are in memory elsewhere."""

    def has_here(session_id: str) -> bool:
        """Whether a session belongs to this process."""

    def gone(numbers: Collection[int]) -> Deferred[Collection[int]]:
        """Those of the processes of these numbers that have gone, as it is now. Fails with `StoreError`."""

    def remove(session_id: str) -> Deferred[str] | None:
        """Deletes a session of another process, by its full or short id; None if that can be done in this one.

        Fires with the full id, which is empty if there is no such session.
        """

    def full_id(session_id: str) -> Deferred[str]:
        """The full id of a session that is in memory elsewhere, by its short one; the id itself if there is none."""

    def stop_turn(session_id: str, job: int) -> Deferred[bool]:
        """Ends what goes on elsewhere in a session that this process may have; see `IPeer`.

        Fires with whether there was such a turn. Without a job (0) it is the one that runs.
        """

    def keep_turn(session_id: str, message: str) -> None:
        """A message waits here for a turn that runs elsewhere, which may be its own; see `IPeer`."""

    def forget(session_id: str) -> None:
        """A session was deleted by this process."""


class INotifier(Interface):
    """Tells people elsewhere of what became of their messages."""

    def notify(address: str, words: str, asks: bool) -> None:
        """The message that begins with these words was answered, or with `asks` needs its user's leave.

        Returns at once and never fails. "" is no address.
        """


class IModelType(Interface):
    """A plugin that adds a model `type` to `llm-models.json`.

    Drop a module with an instance that provides this into `llamaproxy/plugins/` (or any folder on that package's path).
    """

    name = Attribute("The value of `type` in the model's entry, for example 'MYMODEL'.")

    def build(key: str, entry: Any, context: Any) -> IModel | IEmbedder:
        """Makes the model of one entry: an `IEmbedder` if `entry.embedding` is set.

        `entry` is a `config.ModelEntry`, `context` a `models.registry.ModelContext`.
        """


class ILasting(Interface):
    """A tool that works while nobody calls it, or has something to end. A tool may provide it beside `ITool`."""

    def start() -> Deferred[Any] | None:
        """The server has started. A tool that fails here is offered to nobody."""

    def stop() -> Deferred[Any] | None:
        """The server stops, and waits for this for a few seconds."""


class IToolType(Interface):
    """Makes a tool of a third party that needs more than its calls. Found as `ITool` is."""

    name = Attribute("That of its plugin, without `plugin_`.")
    description = Attribute("What it is for, in lists.")

    def build(kit: Kit) -> "ITool":
        """The tool, also with no server running; what costs more than a moment waits for `ILasting.start`.

        Whatever it raises is told in a line, and the server does without it.
        """


class ITool(Interface):
    """A tool that models may call. Found as a plugin: an instance in a module of `llamaproxy.plugins`.

    One that only reads, or only writes, may say so in an attribute `sides`: `("read",)` or `("write",)`.
    """

    name = Attribute("What models and commands call it, `[a-z0-9_]+`.")
    description = Attribute("What it does, a sentence or two for the model.")
    parameters = Attribute("JSON schema of its arguments (an object schema).")
    category = Attribute(
        "Its rate-limit category and gate group: 'db', 'search', 'extract', 'drive', 'system', ..."
    )
    timeout = Attribute("Seconds after which a call is cancelled, and given up even if it goes on.")

    def access(arguments: dict[str, Any]) -> Access:
        """What a call with these (schema-valid) arguments would touch, for the gates. Pure; never blocks."""

    def run(arguments: dict[str, Any], context: ToolContext) -> Deferred[Any]:
        """Runs a call; fires with the text for the model, which gets at most its first 64 KiB, or a `ToolAnswer`.

        Fails with a `ToolError` whose message is for the model and the user. Cancelling the Deferred ends the work.
        """
