"""What one process sees of itself, for the console in it or in another process."""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from ..seams.elsewhere import View
from ..seams.oversight import IOversight, IRecords, Stream
from ..sockets.eager import waiting
from ..web.site import FrontSite

MOST_STREAMS = 200
MOST_SESSIONS = 100
MOST_RECORDS = 50
MOST_CALLERS = 50
# Seconds over which a stream's rate is taken, at least.
RATE_SPAN = 1.0


class Viewer:
    """Looks; `number` counts the processes from 0, `seconds` is the clock.

    Rates come from how far streams were at the last look.
    """

    def __init__(
        self,
        site: FrontSite,
        oversight: IOversight,
        records: IRecords,
        seconds: Callable[[], float],
        number: int,
    ) -> None:
        self._site = site
        self._oversight = oversight
        self._records = records
        self._seconds = seconds
        self._began = seconds()
        self.number = number
        self._seen: dict[str, tuple[float, int, float]] = {}

    def view(self, since: int) -> View:
        """All there is to see, and the records behind that one."""
        meters, site, records, oversight = self._site.meters, self._site, self._records, self._oversight
        newest, found = records.since(since, MOST_RECORDS)
        if newest < since:
            # Those were of another process, whose place this one took.
            newest, found = records.since(0, MOST_RECORDS)
        return View(
            number=self.number,
            pid=os.getpid(),
            uptime=int(self._seconds() - self._began),
            connections=len(site.connections),
            answering=meters.live,
            paused=meters.paused,
            unsent=sum(waiting(connection.transport) for connection in site.connections),
            memory=memory(),
            known=oversight.count_sessions(),
            streams=self._streams(),
            sessions=tuple(oversight.sessions(MOST_SESSIONS)),
            questions=tuple(oversight.questions()),
            health=tuple(records.health(info.key) for info in oversight.models()),
            callers=tuple(records.callers())[-MOST_CALLERS:],
            accounts=tuple(oversight.accounts())[-MOST_CALLERS:],
            points=tuple(records.points()),
            listened=records.listened(),
            newest=newest,
            records=tuple(found),
        )

    def now(self) -> float:
        """The time by the clock that all processes of the machine share."""
        return round(self._seconds(), 1)

    def look(self) -> None:
        """Notes streams and memory for the charts."""
        self._records.look(self._site.meters.live, memory())

    def _streams(self) -> tuple[Stream, ...]:
        now, shown, seen = self._seconds(), [], {}
        for stream in self._oversight.streams()[:MOST_STREAMS]:
            then, pieces, rate = self._seen.get(stream.request_id, (now, stream.pieces, 0.0))
            if now - then >= RATE_SPAN:
                rate = max(0.0, (stream.pieces - pieces) / (now - then))
                then, pieces = now, stream.pieces
            seen[stream.request_id] = then, pieces, rate
            shown.append(replace(stream, rate=round(rate, 1)))
        self._seen = seen
        return tuple(shown)


def memory() -> int:
    """Bytes of memory that the process takes now, or where that is not told, has taken at most."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return pages * resource.getpagesize()
