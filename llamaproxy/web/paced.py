"""A stream for clients that decode every network read by itself: one short line a write, apart from the next."""

from collections import deque
from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..seams.errors import AgentError
from ..seams.types import AgentEvent, ReplyEnd, Text
from .streaming import StreamedReply

# The reply is held while more characters than this wait for their line.
BACKLOG = 16 * 1024


class PacedReply(StreamedReply):
    """Writes a line every `quirks.line_gap` seconds with at most `quirks.line_text` characters of text.

    Neighbouring events of one kind share a line, so that a fast model is not slowed down to a token per line. The
    timer runs only while something waits, or a line has just gone out.
    """

    def __init__(self, *common: Any) -> None:
        super().__init__(*common)
        self._waiting: deque[AgentEvent] = deque()
        self._size = 0
        self._held = False
        self._closing: list[bytes] = []
        self._next: IDelayedCall | None = None

    def eventsReceived(self, events: Sequence[AgentEvent]) -> None:
        """Queues the events, and holds the reply once too many wait."""
        if self._ended:
            return
        self._waiting.extend(events)
        self._size += sum(len(event.text) for event in events)
        if self._size > BACKLOG and self._reply is not None:
            self._held = True
            self._reply.pauseProducing()
        self._go()

    def replyFinished(self, end: ReplyEnd) -> None:
        """The last line, after those that wait."""
        self._close(self._encoder.finish(end))

    def replyFailed(self, reason: Failure) -> None:
        """The reason and the last line, each by itself, after those that wait."""
        self._close(self._encoder.fail(cast(AgentError, reason.value)))

    def resumeProducing(self) -> None:
        """The send buffer is empty."""
        super().resumeProducing()
        self._go()

    def stopProducing(self) -> None:
        """The client left."""
        super().stopProducing()
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _show_life(self) -> None:
        self.eventsReceived([Text("")])

    def _close(self, frames: bytes) -> None:
        self._closing = frames.splitlines(keepends=True)
        self._go()

    def _go(self) -> None:
        """Sends the next line, unless one has just gone out or the send buffer is full."""
        if self._next is not None or self._stall is not None or self._ended:
            return
        if self._waiting:
            super().eventsReceived([self._take_line()])
        elif len(self._closing) > 1:
            self._send(self._closing.pop(0))
        elif self._closing:
            self._end(self._closing.pop())
            return
        else:
            return
        self._next = self._clock.callLater(self._quirks.line_gap, self._gap_over)

    def _gap_over(self) -> None:
        self._next = None
        if self._held and self._size <= BACKLOG // 2 and self._stall is None and self._reply is not None:
            self._held = False
            self._reply.resumeProducing()
        self._go()

    def _take_line(self) -> AgentEvent:
        """The next event to send: neighbours of one kind joined, and what is too long cut."""
        kind, longest = type(self._waiting[0]), self._quirks.line_text
        text = ""
        while self._waiting and type(self._waiting[0]) is kind and len(text) < longest:
            text += self._waiting.popleft().text
        if rest := text[longest:]:
            self._waiting.appendleft(kind(rest))
        text = text[:longest]
        self._size -= len(text)
        return kind(text)
