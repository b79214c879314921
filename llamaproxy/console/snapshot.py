"""What the console shows at a moment, section by section, each ready to be sent."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from msgspec import json, to_builtins
from twisted.internet.defer import Deferred

from .. import __version__
from ..seams.elsewhere import Finding, IElsewhere, Log, LogLine, See, View
from ..seams.oversight import IOversight, Written
from ..seams.records import Record
from ..seams.telling import lines_of
from .checkup import Checkup
from .loglines import LogLines
from .merging import accounts_of, callers_of, health_of, points_of, sessions_of
from .news import News
from .viewer import MOST_CALLERS, MOST_RECORDS, MOST_SESSIONS, Viewer

# Of a log no line has a number like this one: only warnings are wanted.
NO_LINES = 2**53


class Snapshot:
    """Makes the sections, of this process and those `elsewhere`; each of theirs is what they told last."""

    def __init__(
        self,
        viewer: Viewer,
        oversight: IOversight,
        lines: LogLines,
        checkup: Checkup,
        elsewhere: IElsewhere | None = None,
        written: Callable[[], Written] = Written,
    ) -> None:
        self._viewer = viewer
        self._oversight = oversight
        self._lines = lines
        self._checkup = checkup
        self._elsewhere = elsewhere
        self._written = written
        self._others: list[View] = []
        self._warnings: Sequence[LogLine] = ()
        self._is_asking = False
        self._news = News()

    def look_around(self) -> Deferred[None] | None:
        """Asks the other processes, unless they are being asked, and there are none."""
        if self._elsewhere is None or self._is_asking:
            return None
        self._is_asking = True
        return Deferred.fromCoroutine(self._ask(self._elsewhere))

    async def _ask(self, elsewhere: IElsewhere) -> None:
        try:
            found: list[Finding] = await elsewhere.ask(See(since=self._news.since))
            log: Log = await elsewhere.read(NO_LINES, False)
            self._others = [finding.view for finding in found if finding.view is not None]
            self._news.take(self._others)
            self._warnings = log.warnings
        finally:
            self._is_asking = False

    def sections(self) -> Iterator[tuple[str, bytes]]:
        """Every section but the records, by name."""
        oversight = self._oversight
        own = self._viewer.view(self._news.since.get(self._viewer.number, 0))
        self._news.take([own])
        views = [own, *self._others]
        yield "server", json.encode(self._server(views))
        yield "streams", json.encode([stream for view in views for stream in view.streams])
        yield "sessions", json.encode(sessions_of((view.sessions for view in views), MOST_SESSIONS))
        yield "questions", json.encode([question for view in views for question in view.questions])
        yield "models", json.encode([_model(info, views) for info in oversight.models()])
        yield "switches", json.encode(oversight.switches())
        yield "written", json.encode(self._written())
        yield "callers", json.encode(callers_of(views, MOST_CALLERS))
        yield "accounts", json.encode(accounts_of(views))
        yield "warnings", json.encode(self._warnings if self._elsewhere else self._lines.warnings())
        yield (
            "listened",
            json.encode({name: until for view in views for name, until in view.listened.items()}),
        )
        yield "checkup", json.encode(self._checkup.rows)
        yield "hour", json.encode(points_of(views))

    def news(self, number: int) -> tuple[int, bytes]:
        """The records of turns that ended behind that one; "" if there are none."""
        newest, found = self._news.behind(number, MOST_RECORDS)
        return newest, json.encode([shown(record) for record in found]) if found else b""

    def _server(self, views: Sequence[View]) -> dict[str, Any]:
        names = ("uptime", "connections", "answering", "paused", "unsent", "memory", "known")
        rows = [
            {"number": view.number + 1, "pid": view.pid} | {name: getattr(view, name) for name in names}
            for view in sorted(views, key=lambda view: view.number)
        ]
        sums = {name: sum(row[name] for row in rows) for name in names}
        return {
            **sums,
            "version": __version__,
            "uptime": max(row["uptime"] for row in rows),
            "now": self._viewer.now(),
            "workers": rows if self._elsewhere else [],
            "nodes": self._oversight.nodes(),
        }


def _model(info: Any, views: Sequence[View]) -> dict[str, Any]:
    health = health_of(views, info.key)
    return {
        "key": info.key,
        "model_id": info.model_id,
        "kind": info.kind,
        "loaded": info.loaded,
        "embedding": info.embedding,
        "vision": info.vision,
        "context": info.context_length,
        "is_well": health.is_well,
        **to_builtins(health),
    }


def shown(record: Record) -> dict[str, Any]:
    """A record with what is worked out of it."""
    return {
        **to_builtins(record),
        "end": record.end,
        "model": record.model,
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "rate": record.rate,
        "lines": lines_of(record),
    }
