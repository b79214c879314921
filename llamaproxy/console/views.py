"""What the console looks at, of all processes of the server."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ..seams.elsewhere import Find, IElsewhere, ILog, Seek
from ..seams.oversight import IOversight, IRecords
from ..web.site import Intake
from .feed import Feed
from .merging import sessions_of
from .snapshot import Snapshot, shown
from .viewer import MOST_SESSIONS
from .wire import argument, as_json, number
from .witness import found

Answer = bytes | Coroutine[Any, Any, bytes]


class Views:
    """Gives them."""

    def __init__(
        self,
        oversight: IOversight,
        records: IRecords,
        snapshot: Snapshot,
        lines: ILog,
        clock: IReactorTime,
        elsewhere: IElsewhere | None,
    ) -> None:
        self._oversight = oversight
        self._records = records
        self._snapshot = snapshot
        self._lines: ILog = elsewhere or lines
        self._clock = clock
        self._elsewhere = elsewhere
        self.table: Mapping[str, Callable[[Intake], Answer]] = {
            "/console/live": self._live,
            "/console/trace": self._trace,
            "/console/log": self._log,
            "/console/sessions": self._sessions,
        }

    async def _live(self, request: Intake) -> bytes:
        if request.method == b"HEAD":
            # It would wait for an end that does not come.
            request.setHeader(b"content-type", b"text/event-stream")
            return b""
        return await Feed(request, self._snapshot, self._clock, self._oversight.watch).carry()

    async def _trace(self, request: Intake) -> bytes:
        """Records of a session, or the one of a request; the newest of all where none is named."""
        of, most = argument(request, "of"), number(request, "most", 3, 1)
        records = found(self._records, of, most)
        if self._elsewhere is not None:
            for finding in await self._elsewhere.ask(Find(of, most)):
                records += finding.records
        records.sort(key=lambda record: record.began, reverse=True)
        return as_json(request, {"records": [shown(each) for each in (records if of else records[:most])]})

    async def _sessions(self, request: Intake) -> bytes:
        """Sessions in memory whose id has something in it."""
        like = argument(request, "like")
        found = [self._oversight.sessions(MOST_SESSIONS, like)]
        if self._elsewhere is not None:
            found += [finding.sessions for finding in await self._elsewhere.ask(Seek(like))]
        return as_json(request, {"sessions": sessions_of(found, MOST_SESSIONS)})

    async def _log(self, request: Intake) -> bytes:
        said = await self._lines.read(number(request, "after", 15), bool(argument(request, "wait")))
        return as_json(request, {"lines": said.lines})
