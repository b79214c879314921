"""What the supervisor gives to a worker when it starts it, besides open files."""

from msgspec import Struct

from ..server.assembly import Plan

# Where a worker finds its open files: those of every process first.
LOG, ERRORS = 1, 2
# The socket pair to the supervisor, the listening socket, and the shared memory of `tally`.
LINK, LISTENER, TALLY = 3, 4, 5
# The inbox of `handover`, and from there on the ways into all inboxes, this worker's own among them.
INBOX, FIRST_WAY = 6, 7


class Setup(Struct, frozen=True, kw_only=True):
    """`worker` is its number, counted from 0, of `workers`."""

    plan: Plan
    worker: int
    workers: int
