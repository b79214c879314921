"""What the operator wrote, as frozen structs; the one place that knows every key and its default.

Keys that are not named here are left alone: other plugins of the agent keep their settings in the same files.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

PLUGIN = "plugin_proxy_llama"
# Offers models the tools to read and change their own system prompt; it has no settings.
PROMPT_PLUGIN = "plugin_system_prompt"
MOST_WORKERS = 64
# Seconds that are as many as it takes.
FOREVER = 1e9

Housekeeping = Literal["model", "local", "off"]
SessionBy = Literal["chat_header", "user_header", "client_header", "body_field", "api_key"]


# Which chat commands a caller may use: all, those that look or concern the own session, or none.
Rights = Literal["all", "safe", "none"]
# What becomes of a tool call that needs leave: it is refused, or the user is asked in the chat.
GateMode = Literal["reject", "ask"]


def seconds_alone(on_disconnect: str) -> float | None:
    """For how long a turn goes on whose client has left; None if that is not what it says."""
    word, _, number = on_disconnect.partition(":")
    match word, number:
        case "cancel", "":
            return 0.0
        case "detach", "":
            return FOREVER
        case "grace", _ if re.fullmatch(r"\d{1,6}(\.\d{1,3})?", number):
            return float(number)
    return None


class SessionsKeep(Struct, frozen=True, kw_only=True):
    """`sessions_keep`: which conversations at rest the operator has thrown away; 0 keeps all.

    Those that nobody used for `days`; of each address that came with more than `sessions` of them, or with more than
    `megabytes`, those that were not used for longest.
    """

    days: Annotated[float, Meta(ge=0)] = 0.0
    sessions: Annotated[int, Meta(ge=0)] = 0
    megabytes: Annotated[float, Meta(ge=0)] = 0.0


class GateDefaults(Struct, frozen=True, kw_only=True):
    """`gate-defaults.json`: what tools may do without asking, by table and by tool or group; `*` is the rest."""

    db: dict[str, dict[Literal["read", "write"], bool]] = field(default_factory=dict)
    tools: dict[str, dict[Literal["read", "write"], bool]] = field(default_factory=dict)


class StartingGates(GateDefaults, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same in a profile, for its callers: it lies over that of everybody, and under what a session sets."""


class TurnRate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many messages to a model in so many seconds."""

    turns: Annotated[int, Meta(ge=1)]
    seconds: Annotated[float, Meta(gt=0)]


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many tokens, those of prompts and of answers; None for any number."""

    tokens_per_hour: Annotated[int, Meta(ge=1)] | None = None
    tokens_per_day: Annotated[int, Meta(ge=1)] | None = None


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"networks": "from"}):
    """One entry of `callers`: all about one kind of caller. What is None is as for everybody.

    Whoever sends the `key` is meant, or the one in the variable whose NAME is `env_key`; it may be stored as a digest,
    `sha256:` and 64 hexadecimal digits. With `networks` it counts only from there. Without a key whoever comes from
    the `networks` is meant.

    `commands` are their rights; `operator` says whether they are the operator, None leaves that to where they are.
    Their sessions begin with `model`, may use only `models` (keys) and `tools` (names, or categories), and begin with
    `gates`. `rate` and `budget` are for each key, or else for each address. The others are as in `FrontDoor`.
    """

    key: str | None = None
    env_key: str | None = None
    networks: tuple[str, ...] = ()
    commands: Rights | None = None
    operator: bool | None = None
    session_by: tuple[SessionBy, ...] | None = None
    model: str | None = None
    models: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    gates: StartingGates | None = None
    rate: TurnRate | None = None
    budget: Budget | None = None
    client_tools: Literal["off", "header", "on"] | None = None
    client_system: Literal["ignore", "append"] | None = None
    on_disconnect: str | None = None
    notify: str | None = None
    housekeeping: Housekeeping | None = None
    heartbeat: Annotated[float, Meta(ge=0)] | None = None

    @property
    def is_keyed(self) -> bool:
        """Whether its callers are known by a key."""
        return self.key is not None or self.env_key is not None


class FrontDoor(Struct, frozen=True, kw_only=True):
    """`plugin_config.plugin_proxy_llama` of `plugins-enabled.json`: the listener and who may come in.

    `listen` is a Twisted endpoint string and beats host and port. `allow_from` is a list of CIDR networks
    that replaces the default (loopback, private, link-local, carrier-grade). `api_keys` maps a name to a
    bearer key; who sends one of them comes in from anywhere. `trusted_proxies` are the networks whose
    `X-Forwarded-For` is believed. `llama_origins` are the web pages (`https://chat.example.org`, `*` stands
    for any text) that may use the server besides local ones; None takes those of `OLLAMA_ORIGINS` in the
    environment. `llama_hosts` are public names under which the server is reached (`chat.example.org`,
    `*.example.org`, or `*` for any); addresses and local names need no entry. After `heartbeat` of silence a
    streaming app gets a sign of life (0: never). `workers` is the number of processes that share the port and the
    sessions. Times are seconds, sizes bytes.

    `housekeeping` says how apps' own errands (titles, tags, follow-ups; they never enter a session) are answered:
    at once and without a model (`local`), by a call of the model outside any session (`model`), or not at all:
    `off` takes them for messages of the user.

    `session_by` lists what tells sessions of one address apart, the first that is there decides: a header of
    `chat_headers`, one of `user_headers`, one of `client_headers` (in which clients name their sessions of their own
    accord), one of the `body_fields` of a request (`metadata.user_id` is one in another; not with several `workers`,
    which know no more than the headers when they choose one of them), the name of the API key. Headers and fields are
    believed from the machine itself, from `trusted_proxies` and from holders of a key. (Open WebUI sends its own with
    ENABLE_FORWARD_USER_INFO_HEADERS=true.)

    `follow_edits` takes a session back to the message that its user edits or regenerates in the app. `chats` says what
    becomes of several chats in the app: `one` conversation goes on through all of them, or they are `separate`, each a
    branch of its own. (That is not for programs that send only their newest message.) `new_chat` is an older key for
    it: `reset` is `separate`. The turn of a client that hung up before it heard anything, and that is known to send a
    message again then, waits `retry_wait` for it (0: not at all).

    `durability` says what a turn that was answered survives: the end of the `process`, however it comes, or a cut
    of the `power` as well, for an fsync a turn.

    `recorder` says whether turns leave records in memory, `turn_log` how the log tells of each: in a `line`, as `json`
    or not at all (`off`). `console` says whether there are pages, for the operator and for phones without an app.

    `client_tools` lets apps bring tools of their own: `off` none, `on` all, `header` those that say so in the header
    X-Llamaproxy-Tools. `client_system` says whether an app's system prompt is shown to the model, behind the
    agent's own. `on_disconnect` says what becomes of a turn whose client leaves: `cancel`, `grace:SECONDS`, `detach`.
    `notify` is the address that is told what ended or asks for leave then; its host has to be one of `notify_hosts`.
    `notify_link` is what a tap on that opens.

    `store` is the address of a PostgreSQL database that several nodes share, as `postgresql://user@host/database`
    (`?sslmode=` and `?socket=` as `db_query` has them); "" is the home's own `sessions.db`. The password is in the
    variable that `store_password_env` names.

    `commands` says which chat commands callers may use, `key_commands` the same for single API keys by name; a
    key that has `all` there is the operator's own, and so may also do what is for the operator only, as may
    callers from the machine itself where `commands` is `all`. `gate_mode`
    beats the one of the whole file.

    `callers` are profiles by name, each with all that is to be said about one kind of caller; it may also stand beside
    `plugin_config`. `api_keys` and `key_commands` are its short form.
    """

    enabled: bool = True
    llama_port: int = 11434
    llama_host: str = "0.0.0.0"
    listen: str | None = None
    allow_from: tuple[str, ...] = ()
    api_keys: dict[str, str] = field(default_factory=dict)
    trusted_proxies: tuple[str, ...] = ()
    llama_origins: tuple[str, ...] | None = None
    llama_hosts: tuple[str, ...] = ()
    workers: int = 1
    max_body_bytes: int = 32 * 1024 * 1024
    request_timeout: float = 60.0
    stall_timeout: float = 300.0
    heartbeat: float = 8.0
    shutdown_grace: float = 20.0
    commands: Rights = "all"
    key_commands: dict[str, Rights] = field(default_factory=dict)
    callers: dict[str, Profile] = field(default_factory=dict)
    gate_mode: GateMode | None = None
    queue_limit: int = 8
    housekeeping: Housekeeping = "local"
    follow_edits: bool = True
    chats: Literal["one", "separate"] = "one"
    new_chat: Literal["continue", "reset"] = "continue"
    retry_wait: float = 10.0
    durability: Literal["process", "power"] = "process"
    sessions_keep: SessionsKeep = SessionsKeep()
    recorder: bool = True
    turn_log: Literal["line", "json", "off"] = "line"
    console: bool = True
    client_tools: Literal["off", "header", "on"] = "off"
    client_system: Literal["ignore", "append"] = "ignore"
    on_disconnect: str = "cancel"
    notify: str | None = None
    notify_hosts: tuple[str, ...] = ()
    notify_link: str | None = None
    store: str = ""
    store_password_env: str = "LLAMAPROXY_STORE_PASSWORD"
    session_by: tuple[SessionBy, ...] = ("chat_header", "user_header", "api_key")
    chat_headers: tuple[str, ...] = ("X-Llamaproxy-Chat", "X-OpenWebUI-Chat-Id")
    user_headers: tuple[str, ...] = ("X-Llamaproxy-User", "X-OpenWebUI-User-Id")
    client_headers: tuple[str, ...] = (
        "X-Claude-Code-Session-Id",
        "Session-Id",
        "Thread-Id",
        "Session_Id",
        "Conversation_Id",
        "X-Session-Id",
        "X-Session-Affinity",
        "X-Conversation-Id",
    )
    body_fields: tuple[str, ...] = (
        "conversation",
        "metadata.conversation_id",
        "metadata.session_id",
        "prompt_cache_key",
        "safety_identifier",
        "user",
        "metadata.user_id",
    )

    @property
    def has_separate_chats(self) -> bool:
        """Whether each chat in the app is a branch of its own."""
        return self.chats == "separate" or self.new_chat == "reset"


class RateLimit(Struct, frozen=True, kw_only=True):
    """One category of `rate_limits`: at most `calls` tool calls in `window_seconds`; 0 of either is no limit.

    `auto_disable` turns the category off for the rest of a session that goes over it.
    """

    calls: int
    window_seconds: float
    auto_disable: bool = False


class Settings(Struct, frozen=True, kw_only=True):
    """`plugins-enabled.json` as far as the server reads it.

    `max_users` 0 means no limit, `session_idle_timeout_minutes` 0 turns the reaper off, `history_max_ctx` is
    the ceiling for a session's window in messages. `rate_limits` are by category of tools. Sessions begin with
    `tool_preview_length` (characters of a tool's result that are shown, 0 for all) and `tool_suppress`.
    `prompt_tools` says whether `plugin_system_prompt` is enabled.
    """

    front_door: FrontDoor = FrontDoor()
    prompt_tools: bool = False
    max_users: int = 50
    session_idle_timeout_minutes: float = 60.0
    history_max_ctx: int = 200
    rate_limits: dict[str, RateLimit] = field(default_factory=dict)
    tool_preview_length: int = 500
    tool_suppress: bool = False
    gate_mode: GateMode = "reject"


class ModelEntry(Struct, frozen=True, kw_only=True):
    """One entry of `llm-models.json`.

    - `type`: `OPENAI`, `OLLAMA`, `ANTHROPIC`, `LOCAL`, `AGENT`, `PYTHON`, or the name of an installed
      `IModelType` plugin.
    - `model_id`: the provider's name of the model; for `LOCAL` the weights' name in the home's `models`
      folder (`smollm2` is `models/smollm2.gguf`) or an absolute path; for `AGENT` the model that the remote
      agent gives to a new session, or `default`; for `PYTHON` an agent as `package.module:attribute`.
    - `host`: base URL; for `OPENAI` up to and with `/v1`. Not used by `LOCAL`.
    - `env_key`: NAME of the environment variable that holds the key, looked up in the environment, then
      `.env`.
    - `max_context`: history window in messages (None: the global ceiling); `context_length`: in tokens
      (None: unknown, nothing is cut by tokens before the back end refuses).
    - `vision`: the model takes images. `embedding`: the model makes embeddings (`/v1/embeddings`, `/api/embed`)
      and is not one to talk to.
    - `tool_call_available`: the model is offered tools: those in `llm_tools` (names of tools or of their
      categories, `*` for all), or all installed ones if that is null. `llm_call_available`: other models may ask
      this one.
    - `llm_call_timeout` bounds the whole call, `connect_timeout` reaching the server, `first_token_timeout`
      the wait for the first delta, `idle_timeout` the silence between two network reads afterwards; seconds.
    - `plain_http`: ask a server without TLS through the same HTTP client as one with it, where the fast client
      does not get along with it.
    - `start` (`LOCAL`): load `eager`ly with the server or `lazy`, at the first message; `parallel`: replies
      generated at the same time; `threads`: 0 for all cores.
    - `linger` (`AGENT`): seconds to wait for more after the remote agent said that it was done, 30 for one that
      says so after every round of tools; `gate_policy`: whether its tools may run, by their name, else by `read`
      or `write`, else not.
    - `extra`: added to the request as it is; for `PYTHON` what the agent gets as its settings.
    """

    type: str
    model_id: str
    host: str = ""
    env_key: str | None = None
    enabled: bool = True
    description: str = ""
    max_context: int | None = None
    context_length: int | None = None
    vision: bool = False
    embedding: bool = False
    tool_call_available: bool = True
    llm_tools: tuple[str, ...] | None = None
    llm_call_available: bool = False
    system_prompt_folder: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    llm_call_timeout: float = 600.0
    connect_timeout: float = 10.0
    first_token_timeout: float = 120.0
    idle_timeout: float = 60.0
    plain_http: bool = False
    start: Literal["lazy", "eager"] = "lazy"
    parallel: int = 2
    threads: int = 0
    linger: float = 0.0
    gate_policy: dict[str, bool] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class DepthLimits(Struct, frozen=True, kw_only=True):
    """`limits` of `llm-models.json`: rounds of tools in a turn, and how deep delegated calls may nest; 0 for none."""

    max_tool_iterations: int = 10
    max_at_llm_depth: int = 1
    max_agent_call_depth: int = 1


class ModelRegistry(Struct, frozen=True, kw_only=True):
    """`llm-models.json`: the entries by key in the file's order, and the key new sessions start with.

    `broken` are the entries that cannot be used, with what is wrong with them.
    """

    default_model: str
    models: dict[str, ModelEntry]
    limits: DepthLimits = DepthLimits()
    broken: dict[str, str] = field(default_factory=dict)
