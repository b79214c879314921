"""What the console shows at a moment, section by section, each ready to be sent."""

import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec import json, to_builtins

from .. import __version__
from ..seams.oversight import IOversight, IRecords
from ..seams.records import Record
from ..seams.telling import lines_of
from ..sockets.eager import waiting
from ..web.site import FrontSite
from .checkup import Checkup
from .loglines import LogLines

MOST_STREAMS = 200
MOST_SESSIONS = 100
MOST_RECORDS = 50
MOST_CALLERS = 50
# Seconds over which a stream's rate is taken, at least.
RATE_SPAN = 1.0


class Snapshot:
    """Makes the sections; `seconds` is the clock. Rates come from how far streams were at the last look."""

    def __init__(
        self,
        site: FrontSite,
        oversight: IOversight,
        records: IRecords,
        lines: LogLines,
        checkup: Checkup,
        seconds: Callable[[], float],
    ) -> None:
        self._site = site
        self._oversight = oversight
        self._records = records
        self._lines = lines
        self._checkup = checkup
        self._seconds = seconds
        self._began = seconds()
        self._seen: dict[str, tuple[float, int, float]] = {}

    def sections(self) -> Iterator[tuple[str, bytes]]:
        """Every section but the records, by name."""
        oversight, records = self._oversight, self._records
        yield "server", json.encode(self._server())
        yield "streams", json.encode(self._streams())
        yield "sessions", json.encode(oversight.sessions(MOST_SESSIONS))
        yield "questions", json.encode(oversight.questions())
        yield "models", json.encode([self._model(info) for info in oversight.models()])
        yield "switches", json.encode(oversight.switches())
        yield "callers", json.encode(list(records.callers())[-MOST_CALLERS:])
        yield "warnings", json.encode(self._lines.warnings())
        yield "listened", json.encode(records.listened())
        yield "checkup", json.encode(self._checkup.rows)
        yield "hour", json.encode(records.points())

    def news(self, number: int) -> tuple[int, bytes]:
        """The records of turns that ended behind that one; "" if there are none."""
        newest, found = self._records.since(number, MOST_RECORDS)
        return newest, json.encode([shown(record) for record in found]) if found else b""

    def look(self) -> None:
        """Notes streams and memory for the charts."""
        self._records.look(self._site.meters.live, memory())

    def _server(self) -> dict[str, Any]:
        meters, site = self._site.meters, self._site
        return {
            "version": __version__,
            "uptime": int(self._seconds() - self._began),
            "processes": self._oversight.processes(),
            "connections": len(site.connections),
            "live": meters.live,
            "paused": meters.paused,
            "unsent": sum(waiting(connection.transport) for connection in site.connections),
            "memory": memory(),
        }

    def _streams(self) -> list[dict[str, Any]]:
        now, shown_streams, seen = self._seconds(), [], {}
        for stream in self._oversight.streams()[:MOST_STREAMS]:
            then, pieces, rate = self._seen.get(stream.request_id, (now, stream.pieces, 0.0))
            if now - then >= RATE_SPAN:
                rate = max(0.0, (stream.pieces - pieces) / (now - then))
                then, pieces = now, stream.pieces
            seen[stream.request_id] = then, pieces, rate
            shown_streams.append({**to_builtins(stream), "rate": round(rate, 1)})
        self._seen = seen
        return shown_streams

    def _model(self, info: Any) -> dict[str, Any]:
        health = self._records.health(info.key)
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


def memory() -> int:
    """Bytes of memory that the process takes now, or where that is not told, has taken at most."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return pages * resource.getpagesize()
