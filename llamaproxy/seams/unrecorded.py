"""Stands in for a recorder where none is wanted."""

from zope.interface import implementer

from .interfaces import IRecorder
from .records import Record


@implementer(IRecorder)
class Unrecorded:
    """Keeps nothing."""

    def begin(self, record: Record) -> None:
        """See `IRecorder`."""

    def end(self, record: Record) -> None:
        """See `IRecorder`."""

    def errand(self, session_id: str, what: str) -> None:
        """See `IRecorder`."""

    def last(self, session_id: str) -> Record | None:
        """See `IRecorder`."""
        return None
