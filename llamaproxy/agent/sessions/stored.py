"""What to do while another program holds the store: wait for it, or go on and have it written later."""

from typing import TypeVar

from twisted.internet.defer import Deferred

from ...seams.errors import NotYetStored

T = TypeVar("T")


async def for_sure(asked: Deferred[T]) -> T:
    """What the store answers, however long that takes; for what must not be done on a promise."""
    try:
        return await asked
    except NotYetStored as late:
        written: Deferred[T] = late.written
        return await written


async def soon(asked: Deferred[T], otherwise: T) -> T:
    """What the store answers, or `otherwise` if that comes later; the store's own log tells if it never comes."""
    try:
        return await asked
    except NotYetStored:
        return otherwise
