"""SQLite files, each statement in a process of its own."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import IO, Any

from ...seams.errors import GateClosed, ToolError
from ...seams.gates import Leave, Need, Side
from ..threads import Abort
from .statement import Bounds, Verdict

# Seconds beyond a statement's own limit, in which it says so itself.
_GRACE = 0.5


class SqliteDatabase:
    """One file. Reading opens it read-only and never makes it; no statement reaches another file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def run(self, verdict: Verdict, bounds: Bounds, abort: Abort, leave: Leave | None) -> str:
        """Runs one statement, blocking. Raises `ToolError`."""
        reading = not verdict.writes
        uri = f"{self._path.absolute().as_uri()}?mode={'ro' if reading else 'rwc'}"
        if reading and not self._path.exists():
            uri = "file::memory:?mode=memory"  # as empty as the database is before its first table
        order = {
            "uri": uri,
            "sql": verdict.text,
            "reading": reading,
            "gated": leave is not None,
            "rows": bounds.rows,
            "bytes": bounds.bytes,
            "seconds": bounds.seconds,
        }
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "llamaproxy.tools.sql.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**_kept(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
        )
        until = time.monotonic() + bounds.seconds
        late = Timer(bounds.seconds + _GRACE, child.kill)
        late.daemon = True
        with child:
            abort.hook(child.kill)
            late.start()
            try:
                answer = _talk(child, order, verdict, leave)
            finally:
                late.cancel()
                child.kill()
        if abort.called:
            raise ToolError("the statement was cancelled")
        if "text" in answer:
            return str(answer["text"])
        error = str(answer.get("error", ""))
        if not answer and time.monotonic() < until:
            raise ToolError("the statement broke the process that ran it; it takes too much memory, perhaps")
        if not answer or "interrupted" in error:
            raise ToolError(f"the statement was ended after {bounds.seconds:g} seconds")
        raise ToolError(f"the database says: {error}")


def _kept() -> dict[str, str]:
    """What Python itself may need of the environment; the keys in there are nothing for SQL."""
    return {
        name: value for name, value in os.environ.items() if name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    }


def _talk(
    child: "subprocess.Popen[str]", order: dict[str, Any], verdict: Verdict, leave: Leave | None
) -> dict[str, Any]:
    """The last word of the child; empty if it was ended. Raises `ToolError` for what it has no leave to touch."""
    assert child.stdin is not None and child.stdout is not None
    closed: Need | None = None
    with suppress(BrokenPipeError):
        _tell(child.stdin, json.dumps(order))
        for line in child.stdout:
            said: dict[str, Any] = json.loads(line)
            if "ask" not in said:
                if closed is not None and "error" in said:
                    raise GateClosed(closed)
                return said
            table, side = said["ask"]
            need = _need(table, side, verdict, leave) if leave is not None else None
            closed = closed or need
            _tell(child.stdin, "0" if need else "1")
    return {}


def _need(table: str, side: Side, verdict: Verdict, leave: Leave) -> Need | None:
    """The gate in the way; a change of a table looks at it, which needs no more leave than the change."""
    if verdict.only_describes:
        return leave.shut(table, side)
    if side == "read" and table in verdict.writes and not verdict.is_doubtful:
        return leave.shut(table, side) if table in verdict.shows else None
    return leave.closed(table, side)


def _tell(file: IO[str], line: str) -> None:
    file.write(f"{line}\n")
    file.flush()
