"""A lock that is free nearly always: a session mostly has one turn at a time."""

from twisted.internet.defer import DeferredLock


class Lock(DeferredLock):
    """Twisted's, which is taken without a Deferred if nobody has it."""

    def take(self) -> bool:
        """Acquires it if it is free; whether it was."""
        was_free = not self.locked
        self.locked = True
        return was_free
