"""A reactor whose timers follow no clock that somebody can set.

Twisted's follow the time of day. On a board without a clock of its own that jumps by hours once NTP answers, and every
time limit of every running turn would end with it.
"""

import time
from collections.abc import Callable
from typing import Any


def steady(reactor: Any, seconds: Callable[[], float] = time.monotonic) -> None:
    """Has the reactor count from now on in `seconds`; to be called before anything of ours is due in it.

    What others have planned already is moved along.
    """
    shift = seconds() - reactor.seconds()
    for call in reactor.getDelayedCalls():
        call.time += shift
        call.seconds = seconds
    reactor.seconds = seconds
