"""How many sessions are in memory, over all workers: one number each in memory that they share.

A message for each session that comes and goes would cost more than the session, and be late.
"""

import mmap
import os
from struct import Struct

_NUMBER = Struct("q")


def new_tally(workers: int) -> int:
    """Memory for that many workers, all of them at 0, as an open file."""
    handle = os.memfd_create("llamaproxy tally")
    os.ftruncate(handle, workers * _NUMBER.size)
    return handle


class Tally:
    """The numbers in the open file `handle`. Only a worker itself, or the supervisor once it is gone, sets its own."""

    def __init__(self, handle: int, workers: int) -> None:
        self._numbers = memoryview(mmap.mmap(handle, workers * _NUMBER.size)).cast("q")

    def set(self, worker: int, number: int) -> None:
        """So many sessions live there."""
        self._numbers[worker] = number

    def total(self) -> int:
        """How many live in all."""
        return sum(self._numbers)
