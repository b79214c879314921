"""What Twisted's reactor makes anew for each event and each timer, made once.

Twisted copies a dictionary and makes a dozen calls around each event, so that what is logged meanwhile in its old way
names the connection. Here the name is put into the one dictionary that there is.
"""

import select
from functools import partial
from typing import Any

from twisted.python import context, log


def hasten(reactor: Any) -> None:
    """Has the reactor work so from now on; one that uses no epoll looks for events as before."""
    # Each timer keeps them, and a thousand streams have some thousand timers.
    for name in ("_cancelCallLater", "_moveCallLaterSooner"):
        setattr(reactor, name, getattr(reactor, name))
    if not hasattr(select, "epoll"):
        return
    from twisted.internet.epollreactor import EPollReactor

    if isinstance(reactor, EPollReactor):
        about: dict[str, Any] = context.get(log.ILogContext)
        reactor.doIteration = partial(_look, reactor, about)  # type: ignore[method-assign]


def _look(reactor: Any, about: dict[str, Any], timeout: float | None) -> None:
    """Waits `timeout` seconds for something to be ready, and has all that is ready do its work."""
    find, work = reactor._selectables.get, reactor._doReadOrWrite
    for fd, event in reactor._poller.poll(timeout, len(reactor._selectables)):
        selectable = find(fd)
        # It may have gone with what came before it.
        if selectable is None:
            continue
        try:
            about["system"] = selectable.logPrefix()
            work(selectable, fd, event)
        except Exception:
            log.err()
    about["system"] = "-"
