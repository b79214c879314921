"""A worker: the program that the supervisor starts, a whole server but for what the supervisor keeps.

Run as `python -m llamaproxy.workers.child MODULE`, the module with the supervisor's kind of reactor, with the open
files that `setup` lists and a `Setup` on standard input.
"""

import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import json
from twisted.internet.error import ReactorNotRunning
from twisted.python.reflect import namedModule

from ..sockets import tls

if TYPE_CHECKING:
    from .setup import Setup


def main() -> None:
    """Serves until the supervisor says that it is enough, or is gone."""
    _leave_signals_to_the_supervisor()
    tls.put_off()
    # First of all: whatever else is imported may install Twisted's default.
    namedModule(sys.argv[1]).install()
    from twisted.internet import reactor

    from .setup import Setup

    _serve(json.decode(sys.stdin.buffer.read(), type=Setup), reactor)


def _serve(setup: "Setup", reactor: Any) -> None:
    from twisted.internet.endpoints import AdoptedStreamServerEndpoint

    from ..server.assembly import assemble
    from ..server.overlook import Worker
    from ..server.service import Part, Stack
    from ..sockets.steady import steady
    from ..sockets.swift import hasten
    from ..web.metrics import families
    from .handover import Handover
    from .logs import begin_logging
    from .peers import Colleagues, DistantKeeper, Link, Peers
    from .process import Single
    from .setup import FIRST_WAY, INBOX, LINK, LISTENER, LOG, TALLY
    from .tally import Tally

    begin_logging(LOG)
    steady(reactor)
    hasten(reactor)
    link = Link()
    peers = Peers(link, Tally(TALLY, setup.workers), setup.worker, setup.workers)
    listener = socket.socket(fileno=LISTENER)
    endpoint = AdoptedStreamServerEndpoint(reactor, listener.detach(), listener.family)
    here = Worker(number=setup.worker, elsewhere=Colleagues(link))
    server = assemble(setup.plan, endpoint, reactor, peers, partial(DistantKeeper, link), here)
    ways = [socket.socket(fileno=FIRST_WAY + worker) for worker in range(setup.workers)]
    handover = Handover(reactor, setup.worker, socket.socket(fileno=INBOX), ways)
    link.samples = partial(families, server.site)
    link.stop, link.hurry = partial(_stop, reactor), server.entrance.hurry
    link.go_by = server.reloader.go_by
    if server.pages is not None:
        link.answer, link.invite = server.pages.witness.answer, server.pages.arrivals.link
    server.site.exposition = link.metrics

    services = server.services
    services.insert(
        services.index(server.entrance), Part(partial(handover.serve, server.site), handover.stop)
    )
    stack = Stack(reactor)
    for service in (*services, Part(link.ready)):
        service.setServiceParent(stack)
    reactor.adoptStreamConnection(LINK, socket.AF_UNIX, Single(link))
    # Twisted's own handlers come with the reactor.
    reactor.callWhenRunning(_leave_signals_to_the_supervisor)
    reactor.callWhenRunning(stack.startService)
    reactor.addSystemEventTrigger("before", "shutdown", stack.stopService)
    reactor.run()


def _leave_signals_to_the_supervisor() -> None:
    """Ctrl-C and a closed terminal reach the whole group, and systemd's SIGTERM every process of a service.

    Replies may still finish.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _stop(reactor: Any) -> None:
    # Unless it is stopping already.
    with suppress(ReactorNotRunning):
        reactor.stop()


if __name__ == "__main__":
    main()
