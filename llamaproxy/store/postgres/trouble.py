"""What an error of PostgreSQL means for those who wait: it is away, others are in the way, or it refuses just this."""

import psycopg
from psycopg import errors

from ...seams.errors import PLACE, StoreError, StoreUnavailable

AWAY = "The conversations cannot be reached at the moment; try again in a few seconds."
BUSY = "The conversations' database is busy at the moment; try again in a few seconds."
READ_ONLY = "The conversations can be read but not written at the moment; try again in a few seconds."

# Nothing was written, and the same work may succeed when it is done again.
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected)
# As words of classes or of single states: connections that end, the server that ends or starts.
_GONE = ("08", "25P03", "57P0")
# Others hold what is needed, or all that there is of something.
_IN_THE_WAY = ("40", "53", "55", "57014")
_FULL = "53100"
_READ_ONLY = "25006"


def is_conflict(error: BaseException | None) -> bool:
    """Whether two transactions were in each other's way, so that the work is to be done once more."""
    return isinstance(error, _CONFLICTS)


def meaning(error: Exception, address: str) -> StoreError:
    """The error in words for the user, and for the operator in `told`."""
    state = getattr(error, "sqlstate", None)
    if isinstance(error, OSError) or (
        isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and state is None
    ):
        return StoreUnavailable(AWAY)
    state, why = state or "", reason(error)
    if state.startswith(_GONE):
        return StoreUnavailable(AWAY)
    if state == _FULL:
        return StoreError(f"the store{PLACE} cannot be used ({why}): make room on its disk", address)
    if state == _READ_ONLY:
        return StoreUnavailable(READ_ONLY)
    if state.startswith(_IN_THE_WAY):
        return StoreUnavailable(BUSY)
    return StoreError(f"the store{PLACE} does not take this ({why})", address)


def reason(error: Exception) -> str:
    """Its first line; the others repeat the statement."""
    return str(error).strip().partition("\n")[0]
