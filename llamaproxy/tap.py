"""`twistd llamaproxy`: from options and files to a tree of services.

Whatever the operator can mend (a file, a port, a model) is found here, before anything starts, and ends the program
with one line and exit status 1.
"""

import gc
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from twisted.application.service import IService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python import usage

from .agent.agent import Agent
from .agent.delegation import Delegation
from .agent.errors import AgentError
from .agent.interfaces import IBackEnd, IEmbedder, IModel, ISessionStore
from .agent.limits import Limits
from .agent.outbound import Outbound
from .agent.prompts import PromptFiles
from .agent.rates import Rate
from .agent.toolbox import Toolbox
from .config import (
    ConfigError,
    FrontDoor,
    Home,
    JsonFile,
    ModelRegistry,
    Settings,
    find_home,
    load_gates,
    load_registry,
    load_settings,
)
from .config.tools import load_tool_settings
from .models.registry import build_embedders, build_models, model_context
from .service import Interrupts, Part, Stack, give_up
from .stalls import StallDetector
from .store.sqlite import SqliteSessionStore
from .tools.registry import Workshop, load_tools
from .web.cors import Cors, ollama_origins
from .web.door import Door, place_of, port_problem, urls_at, welcome
from .web.guard import Guard
from .web.naming import Naming
from .web.routes import Routes
from .web.site import FrontSite

log = Logger()

# Connections that may wait to be accepted; beyond them a client hears nothing for a second and tries again.
BACKLOG = 1024
# New objects between two looks for garbage. Python's 700 are a handful of requests; many more would no longer fit the
# processor's cache.
GARBAGE = 10_000


class Options(usage.Options):
    """The flags of `twistd llamaproxy`; each beats what the files say."""

    optParameters = [
        ["port", "p", None, "TCP port (file: llama_port, else 11434)", int],
        ["host", None, None, "Address to listen on (file: llama_host, else 0.0.0.0)"],
        [
            "listen",
            None,
            None,
            "Twisted endpoint string, instead of port and host, e.g. ssl:443:privateKey=...",
        ],
        ["home", None, None, "Folder with the configuration (else $LLAMAPROXY_HOME, else ~/.llamaproxy)"],
        ["model", "m", None, "Key of the model that new sessions start with"],
    ]

    optFlags = [["debug", None, "Log what holds the server up for more than 50 ms, and where"]]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Reads the flags; a wrong one ends the program in one line, where twistd would print all of its help."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            give_up(f"{error}; see twistd llamaproxy --help")

    def postOptions(self) -> None:
        """Checks what can be checked without the files."""
        if self["port"] is not None and not 0 < self["port"] < 65536:
            raise usage.UsageError("--port is a number from 1 to 65535")
        if self["listen"] and (self["port"] or self["host"]):
            raise usage.UsageError("--listen says where to listen; leave --port and --host out")


def makeService(options: Options) -> IService:
    """Builds the server from the options and the home folder's files."""
    from twisted.internet import reactor

    home = Home(find_home(options["home"], os.environ, Path.cwd()))
    try:
        home.ensure()
        return build(options, home, reactor)
    except (ConfigError, AgentError, OSError, ValueError) as error:
        give_up(str(error))


def build(options: Options, home: Home, reactor: Any) -> Stack:
    """The tree of services.

    Raises `ConfigError`, `AgentError`, `OSError` or `ValueError` with a line for the operator.
    """
    settings = load_settings(home)
    registry = load_registry(home)
    door = settings.front_door
    if not door.enabled:
        give_up("plugin_proxy_llama is disabled; run: agentctl enable plugin_proxy_llama")
    environ = {**home.read_env(), **os.environ}
    context = model_context(reactor, environ.get, home)
    default = options["model"] or registry.default_model
    models = build_models(registry, context, default)
    embedders = build_embedders(registry, context, default)
    back_ends: dict[str, IBackEnd] = {**models, **embedders}
    for key, problem in registry.broken.items():
        log.warn("model '{key}' is left out: {problem}", key=key, problem=problem)
    if default in registry.broken:
        give_up(registry.broken[default])
    if default not in models:
        give_up(
            f"there is no enabled model '{default}' in {home.models_file}; there are: {', '.join(models)}"
        )
    if (entry := registry.models[default]).type == "LOCAL":
        _check_weights(default, home.weights_file(entry.model_id))
    endpoint, urls = _where(options, door, reactor)

    store = SqliteSessionStore(home.sessions_db, reactor)
    store.check()
    tools = load_tools(
        load_tool_settings(home), Workshop(reactor=reactor, environ=environ.get, home=home.path)
    )
    toolbox = Toolbox(
        tools.fixed,
        {key: e.llm_tools if e.tool_call_available else () for key, e in registry.models.items()},
    )
    agent = _agent(home, environ, settings, registry, default, models, embedders, toolbox, store, reactor)
    if settings.prompt_tools:
        agent.offer_prompt_tools()
    guard = Guard(
        door.allow_from,
        door.api_keys,
        door.trusted_proxies,
        door.commands,
        door.key_commands,
        door.llama_hosts,
        Naming(door),
    )
    routes = Routes(agent, guard, reactor, door.stall_timeout, door.heartbeat, housekeeping=door.housekeeping)
    cors = Cors(ollama_origins(environ) if door.llama_origins is None else door.llama_origins)
    site = FrontSite(routes, guard, reactor, door.max_body_bytes, door.request_timeout, cors)

    entrance = Door(endpoint, site, reactor, door.shutdown_grace)
    stack = Stack(reactor)
    if options["debug"]:
        StallDetector(reactor).setServiceParent(stack)
    for service in (
        Part(lambda: None, context.close),
        Part(store.open, store.close),
        Part(partial(_start_models, back_ends, default), partial(_stop_models, back_ends)),
        Part(partial(tools.start, toolbox), tools.stop),
        Part(agent.start, lambda: Deferred.fromCoroutine(agent.stop())),
        entrance,
        Interrupts(reactor, entrance.hurry),
        Part(site.meters.watch_reactor, site.meters.rest),
        Part(_settle, lambda: None),
        Part(partial(_greet, welcome(urls, default, _let_in(door)))),
    ):
        service.setServiceParent(stack)
    return stack


def _agent(
    home: Home,
    environ: Mapping[str, str],
    settings: Settings,
    registry: ModelRegistry,
    default: str,
    models: Mapping[str, IModel],
    embedders: Mapping[str, IEmbedder],
    toolbox: Toolbox,
    store: ISessionStore,
    reactor: Any,
) -> Agent:
    """The agent with its limits and gates."""
    entries = registry.models
    return Agent(
        models,
        default,
        store,
        PromptFiles(home.path),
        reactor,
        _limits(settings, registry),
        message_limits={key: n for key, entry in entries.items() if (n := entry.max_context)},
        prompt_folders={key: f for key, entry in entries.items() if (f := entry.system_prompt_folder)},
        embedders=embedders,
        toolbox=toolbox,
        gate_defaults=msgspec.to_builtins(load_gates(home)),
        delegation=Delegation(
            {key: entry.llm_call_available for key, entry in entries.items()},
            {key: entry.llm_call_timeout for key, entry in entries.items()},
            lambda key, field, value: deferToThread(_keep, JsonFile(home.models_file), key, field, value),
            Outbound.from_environ(environ),
        ),
    )


def _keep(file: JsonFile, key: str, field: str, value: Any) -> None:
    """Sets one field of a model's entry in the operator's file."""
    with file.update() as content:
        content["models"][key][field] = value


def _limits(settings: Settings, registry: ModelRegistry) -> Limits:
    return Limits(
        max_users=settings.max_users,
        session_idle_minutes=settings.session_idle_timeout_minutes,
        history_max_ctx=settings.history_max_ctx,
        queue=settings.front_door.queue_limit,
        follow_edits=settings.front_door.follow_edits,
        new_chat=settings.front_door.new_chat,
        retry_wait=settings.front_door.retry_wait,
        rates={
            category: Rate(rate.calls, rate.window_seconds, rate.auto_disable)
            for category, rate in settings.rate_limits.items()
        },
        depths=msgspec.structs.asdict(registry.limits),
        tool_preview_length=settings.tool_preview_length,
        tool_suppress=settings.tool_suppress,
        gate_mode=settings.front_door.gate_mode or settings.gate_mode,
    )


def _check_weights(key: str, weights: Path) -> None:
    """Finds at once what the model itself would find only when the reactor runs, and a daemon tell nobody."""
    if not weights.is_file():
        give_up(
            f"the weights of '{key}', {weights}, are missing; run: agentctl model-pull {weights.stem},"
            " or choose another model with --model or agentctl model"
        )


def _where(options: Options, door: FrontDoor, reactor: Any) -> tuple[IStreamServerEndpoint, list[str]]:
    """The endpoint, and the URLs under which apps reach it. A flag beats the file."""
    flagged = options["port"] or options["host"]
    listen = options["listen"] or (None if flagged else door.listen)
    if listen:
        place = place_of(listen)
        if place and (problem := port_problem(*place[1:])):
            give_up(f"{problem} in the endpoint {listen}")
        return _endpoint(listen, reactor), urls_at(*place) if place else []
    host, port = options["host"] or door.llama_host, options["port"] or door.llama_port
    if problem := port_problem(host, port):
        give_up(f"{problem} with --port or agentctl port-set")
    kind = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    return kind(reactor, port, BACKLOG, host), urls_at("http", host, port)


def _endpoint(description: str, reactor: Any) -> IStreamServerEndpoint:
    try:
        return serverFromString(reactor, description)
    except Exception as error:  # whatever its parser, plugin or TLS library comes up with
        give_up(f"the endpoint {description} cannot be used: {error}")


def _let_in(door: FrontDoor) -> str:
    """Who may come in, in words."""
    where = f"Addresses in {', '.join(door.allow_from)}" if door.allow_from else "Local networks only"
    return f"{where}{' and holders of an API key' if door.api_keys else ''} may come in."


async def _started(models: Mapping[str, IBackEnd], default: str) -> None:
    for key, model in models.items():
        try:
            await model.start()
        except AgentError as error:
            if key == default:
                raise
            log.warn("model '{key}' cannot be used: {error}", key=key, error=str(error))


def _start_models(models: Mapping[str, IBackEnd], default: str) -> Deferred[None]:
    """Fails only for the model that new sessions start with; the others can be mended while the server runs."""
    return Deferred.fromCoroutine(_started(models, default))


def _stop_models(models: Mapping[str, IBackEnd]) -> Deferred[list[None]]:
    return gatherResults([model.stop() for model in models.values()])


def _settle() -> None:
    """Spares the garbage collector what was loaded at the start, and stays.

    A look at all of it would hold every stream up for tens of milliseconds, and a thousand of them cause many looks.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 4, 50)


def _greet(lines: list[str]) -> None:
    for line in lines:
        log.info("{line}", line=line)
