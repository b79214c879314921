"""The parts of the agent, put together in one place; each gets the few others that it works with, by name."""

from functools import partial

from msgspec import Struct

from ..seams.interfaces import INotifier, IPeers, ISessionStore
from .backends import Backends
from .calls.delegates import Delegates
from .calls.delegation import Asker, Delegation
from .calls.runner import Workbench
from .commands.commands import Commands
from .commands.table import Call
from .desk import Desk
from .errands import Errands
from .meanwhile import Meanwhile
from .prompts import ModelPrompts
from .rulings import Rules
from .sessions.branches import Branches
from .sessions.claims import Claims
from .sessions.eraser import Eraser
from .sessions.ledger import Ledger
from .sessions.retention import Retention
from .sessions.runs import Runs
from .sessions.session import Sessions
from .turns.conversation import Conversation
from .turns.inquiries import Inquiries
from .turns.toolloop import Means


class Parts(Struct, frozen=True, kw_only=True):
    """What the front of the agent works with, and tests look at."""

    backends: Backends
    bench: Workbench
    store: ISessionStore
    prompts: ModelPrompts
    delegation: Delegation
    peers: IPeers
    sessions: Sessions
    eraser: Eraser
    inquiries: Inquiries
    rules: Rules
    retention: Retention
    commands: Commands
    runs: Runs
    errands: Errands
    ledger: Ledger
    desk: Desk


def assemble(
    backends: Backends,
    store: ISessionStore,
    prompts: ModelPrompts,
    bench: Workbench,
    delegation: Delegation,
    peers: IPeers,
    notifier: INotifier,
) -> Parts:
    """Makes the parts, none of them started."""
    clock = bench.clock
    asker = Asker(backends, delegation, clock)
    delegates = Delegates(bench.toolbox, asker, bench.limits)
    delegates.offer()
    sessions = Sessions(store, clock.seconds, peers)
    claims = Claims(store, peers, backends, bench.wall)
    eraser = Eraser(sessions, store, backends, peers, claims)
    means = Means(backends=backends, prompts=prompts, bench=bench, delegation=delegation)
    branches = Branches(store, backends, bench.limits)
    inquiries = Inquiries(clock)
    conversation = Conversation(means, store, branches, inquiries)
    runs = Runs(clock, bench.limits, store, peers, bench.recorder)
    call = partial(
        Call,
        installed=backends,
        prompts=prompts,
        bench=bench,
        delegation=delegation,
        asker=asker,
        conversation=conversation,
        sessions=sessions,
        eraser=eraser,
        claims=claims,
        branches=branches,
        peers=peers,
        runs=runs,
        store=store,
        clock=clock,
        started_at=clock.seconds(),
    )
    commands = Commands(bench.toolbox, call)
    ledger = Ledger(clock.seconds, peers)
    meanwhile = Meanwhile(store, notifier, peers)
    desk = Desk(means, sessions, conversation, commands, peers, meanwhile, claims, ledger, inquiries, runs)
    runs.serve, runs.served = desk.serve, desk.served
    return Parts(
        backends=backends,
        bench=bench,
        store=store,
        prompts=prompts,
        delegation=delegation,
        peers=peers,
        sessions=sessions,
        eraser=eraser,
        inquiries=inquiries,
        rules=Rules(bench.limits, delegation, delegates, bench.gate_defaults),
        retention=Retention(bench.limits.keep, store, peers, eraser, bench.wall),
        commands=commands,
        runs=runs,
        errands=Errands(backends, delegation, ledger, clock),
        ledger=ledger,
        desk=desk,
    )
