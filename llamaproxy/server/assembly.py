"""From a configuration to the parts of a server, for a process alone or for a worker among others."""

import ctypes
import gc
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from twisted.application.service import IService
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from ..agent.agent import Agent
from ..agent.calls.delegation import Delegation
from ..agent.calls.outbound import Outbound
from ..agent.calls.toolbox import Toolbox
from ..agent.prompts import PromptFiles
from ..config import Configuration, Home, JsonFile
from ..models.embedded.keeper import AnyKeeper
from ..models.registry import build_embedders, build_models, model_context
from ..recorder.recorder import Recorder
from ..seams.errors import AgentError
from ..seams.interfaces import IBackEnd, IEmbedder, IModel, INotifier, IPeers, IRecorder
from ..sockets.descriptors import available
from ..sockets.stalls import StallDetector
from ..tools.registry import Workshop, load_tools
from ..tools.strangers import strangers
from ..web.bodies import InThreads
from ..web.door import Door
from ..web.health import Health
from ..web.routes import Routes
from ..web.site import FrontSite
from .files import OperatorFiles
from .front import Front, new_cors, new_guard
from .limits import limits_of
from .notifier import Notifier
from .overlook import Overlook, Worker, overlook
from .readiness import model_check, store_check
from .recording import recording
from .reload import Reloader
from .service import Part, give_up
from .storage import Storage, storage

log = Logger()

# Of all descriptors this part is for clients' connections; the rest is for those to models, files and tools.
FOR_CLIENTS = 0.6
# New objects between two looks for garbage among them: about what ten streams hold, which still lies in the processor's
# cache then. With ten times as many, a look pushes out of it what the next requests need.
GARBAGE = 1_000
# Such looks between two at all that has come since, nearly all of which still lives: when a thousand clients arrive,
# its streams. Python's 10 would hold them up for a tenth of the time that their first tokens take.
OLDER_GARBAGE = 300


class Plan(Struct, frozen=True, kw_only=True):
    """What to run: the configuration, the home where it was found, and what the flags say."""

    config: Configuration
    home: str
    default_model: str
    debug: bool = False


class Server(Struct, frozen=True, kw_only=True):
    """The parts of a server; `services` in the order in which they start."""

    agent: Agent
    site: FrontSite
    entrance: Door
    back_ends: Mapping[str, IBackEnd]
    services: list[IService]
    reloader: Reloader
    pages: Overlook | None


def assemble(
    plan: Plan,
    endpoint: IStreamServerEndpoint,
    reactor: Any,
    peers: IPeers | None = None,
    keepers: Callable[[str], AnyKeeper | None] = lambda key: None,
    worker: Worker | None = None,
) -> Server:
    """The parts, none of them started.

    `peers`, `keepers` and `worker` are those of a worker. Raises `ConfigError`, `AgentError`, `OSError` or
    `ValueError` with a line for the operator.
    """
    home, config, default = Home(Path(plan.home)), plan.config, plan.default_model
    settings, registry, door = config.settings, config.registry, config.settings.front_door
    environ = {**config.env, **os.environ}
    context = model_context(reactor, environ.get, home, keepers)
    models = build_models(registry, context, default)
    embedders = build_embedders(registry, context, default)
    back_ends: dict[str, IBackEnd] = {**models, **embedders}
    if default not in models:
        give_up(
            f"there is no enabled model '{default}' in {home.models_file}; there are: {', '.join(models)}"
        )
    if (entry := registry.models[default]).type == "LOCAL":
        _check_weights(default, home.weights_file(entry.model_id), home)

    stored = storage(home, door, environ, peers, reactor)
    tools = load_tools(config.tools, Workshop(reactor=reactor, environ=environ.get, home=home.path))
    for line in strangers(config, home, tools.fixed):
        log.warn("{line}", line=line)
    toolbox = Toolbox(
        tools.fixed,
        {key: e.llm_tools if e.tool_call_available else () for key, e in registry.models.items()},
    )
    # Reloads change the entries, and come last.
    records = recording(door, environ, lambda: reloader.config.registry.models, reactor)
    recorder = records.recorder
    notifier = Notifier(_post, door.notify_hosts, door.notify_link or "", reactor)
    agent = _agent(
        home, environ, config, default, models, embedders, toolbox, stored, recorder, notifier, reactor
    )
    if settings.prompt_tools:
        agent.offer_prompt_tools()
    guard = new_guard(home, door, environ, reactor)
    reader = InThreads(reactor)
    health = Health(reactor, [store_check(stored.store), model_check(default, entry, reactor)])
    routes = Routes(
        agent,
        guard,
        reactor,
        door.stall_timeout,
        door.heartbeat,
        housekeeping=door.housekeeping,
        reader=reader,
        recorder=recorder,
        health=health,
    )
    cors = new_cors(door, environ)
    most = int(available() * FOR_CLIENTS)
    site = FrontSite(routes, guard, reactor, door.max_body_bytes, door.request_timeout, cors, most)
    front = Front(home, site, routes, recorder, notifier)
    reloader = Reloader(home, config, default, environ, agent, context, back_ends, tools, toolbox, front)
    own_pages: Overlook | None = None
    if door.console and isinstance(recorder, Recorder):
        files = OperatorFiles(home, lambda: reloader.config)
        own_pages = overlook(site, agent.oversight, recorder, files, reloader.reload, reactor, worker)
        routes.pages = own_pages.pages
    entrance = Door(endpoint, site, reactor, door.shutdown_grace, health)
    services: list[IService] = [
        Part(lambda: None, context.close),
        *stored.services,
        Part(partial(start_models, back_ends, default), partial(stop_models, back_ends)),
        Part(partial(tools.start, toolbox), tools.stop),
        Part(reader.start),
        Part(lambda: None, notifier.stop),
        *records.services,
        Part(lambda: None, reloader.retired.stop),
        Part(agent.start, lambda: Deferred.fromCoroutine(agent.stop())),
        entrance,
        Part(site.meters.watch_reactor, site.meters.rest),
        *(own_pages.services if own_pages is not None else ()),
        Part(_settle, lambda: None),
    ]
    if plan.debug:
        services.insert(0, StallDetector(reactor))
    return Server(
        agent=agent,
        site=site,
        entrance=entrance,
        back_ends=back_ends,
        services=services,
        reloader=reloader,
        pages=own_pages,
    )


def _agent(
    home: Home,
    environ: Mapping[str, str],
    config: Configuration,
    default: str,
    models: Mapping[str, IModel],
    embedders: Mapping[str, IEmbedder],
    toolbox: Toolbox,
    stored: Storage,
    recorder: IRecorder,
    notifier: INotifier,
    reactor: Any,
) -> Agent:
    """The agent with its limits and gates."""
    entries = config.registry.models
    return Agent(
        models,
        default,
        stored.store,
        PromptFiles(home.path),
        reactor,
        limits_of(config),
        prompt_folders={key: f for key, entry in entries.items() if (f := entry.system_prompt_folder)},
        embedders=embedders,
        toolbox=toolbox,
        gate_defaults=msgspec.to_builtins(config.gates),
        delegation=Delegation(
            {key: entry.llm_call_available for key, entry in entries.items()},
            {key: entry.llm_call_timeout for key, entry in entries.items()},
            lambda key, field, value: deferToThread(_keep, JsonFile(home.models_file), key, field, value),
            Outbound.from_environ(environ),
        ),
        peers=stored.peers,
        recorder=recorder,
        notifier=notifier,
    )


def _post(*arguments: Any, **named: Any) -> Deferred[Any]:
    """treq's `post`; most servers notify nobody, and do without all that it brings along."""
    import treq

    return treq.post(*arguments, **named)


def _keep(file: JsonFile, key: str, field: str, value: Any) -> None:
    """Sets one field of a model's entry in the operator's file."""
    with file.update() as content:
        content["models"][key][field] = value


def _check_weights(key: str, weights: Path, home: Home) -> None:
    """Finds at once what the model itself would find only when the reactor runs, and a daemon tell nobody."""
    if not weights.is_file():
        give_up(
            f"the weights of '{key}', {weights}, are missing; run: agentctl model-pull {weights.stem}"
            f" --home {home.path}, or choose another model with --model or agentctl model"
        )


async def _started(models: Mapping[str, IBackEnd], default: str) -> None:
    for key, model in models.items():
        try:
            await model.start()
        except AgentError as error:
            if key == default:
                raise
            log.warn("model '{key}' cannot be used: {error}", key=key, error=str(error))


def start_models(models: Mapping[str, IBackEnd], default: str) -> Deferred[None]:
    """Fails only for the model that new sessions start with; the others can be mended while the server runs."""
    return Deferred.fromCoroutine(_started(models, default))


def stop_models(models: Mapping[str, IBackEnd]) -> Deferred[list[None]]:
    """Fires once they have ended."""
    return gatherResults([model.stop() for model in models.values()])


def _give_back() -> None:
    """Gives the system what the start needed and nothing needs any more, where the C library can: megabytes."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _settle() -> None:
    """Spares the garbage collector what was loaded at the start, and stays.

    A look at all of it would hold every stream up for tens of milliseconds, and a thousand of them cause many looks.
    """
    gc.collect()
    gc.freeze()
    _give_back()
    gc.set_threshold(GARBAGE, OLDER_GARBAGE, 50)
