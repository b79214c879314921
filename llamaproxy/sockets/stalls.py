"""Finds what blocks the reactor: any stretch of work that holds its thread up too long is logged, with its stack."""

import sys
import traceback
from collections.abc import Callable
from threading import Event, Thread, get_ident
from types import FrameType
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

LIMIT = 0.05


class StallDetector(Service):
    """Notes that the reactor turns, and has a thread look at where it is when it does not for `limit` seconds.

    `frames` gives the running frame of each thread.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        limit: float = LIMIT,
        frames: Callable[[], dict[int, FrameType]] = sys._current_frames,
    ) -> None:
        self._reactor: Any = reactor
        self._limit = limit
        self._frames = frames
        self._beat: float | None = None
        self._stack = ""
        self._timer: IDelayedCall | None = None
        self._stopping = Event()
        self._watched = get_ident()

    def startService(self) -> None:
        """Begins once the reactor runs."""
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> None:
        """Lets the thread end."""
        super().stopService()
        self._stopping.set()
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """The thread's part: keeps the reactor's stack if it has not turned for too long."""
        beat = self._beat
        if beat is not None and not self._stack and self._reactor.seconds() - beat > self._limit:
            frame = self._frames().get(self._watched)
            # It may have gone on while this looked.
            if frame is not None and self._beat == beat:
                self._stack = "".join(traceback.format_stack(frame))

    def tick(self) -> None:
        """The reactor's part: it turns. Reports the stall that is over, if there was one."""
        now = self._reactor.seconds()
        late = now - self._beat if self._beat is not None else 0.0
        stack, self._stack = self._stack, ""
        self._beat = now
        if late > self._limit:
            self.log.warn(
                "the reactor stood still for {milliseconds:.0f} ms in\n{stack}",
                milliseconds=late * 1000,
                stack=stack or "  what was over before it could be seen",
            )
        self._timer = self._reactor.callLater(self._limit / 2, self.tick)

    def _begin(self) -> None:
        self._watched = get_ident()
        self.tick()
        Thread(target=self._watch, name="stall detector", daemon=True).start()

    def _watch(self) -> None:
        while not self._stopping.wait(self._limit / 4):
            self.look()
