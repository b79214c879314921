"""`files`: list, read, search and write inside the one folder that the operator gave."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..config.tools import Files
from ..seams.errors import ToolError
from ..seams.interfaces import ITool
from ..seams.types import Access, ToolContext
from .base import BuiltIn, schema
from .charsets import LAST_RESORT, is_text, is_utf8, marked, text_of
from .filenames import shown
from .folder import Folder
from .threads import Abort, Workers

MOST_ENTRIES = 500
MOST_MATCHES = 100
MOST_SEARCHED = 10_000
LONGEST_LINE = 300


@implementer(ITool)
class FilesTool(BuiltIn):
    """The only tool that writes; each side has its gate."""

    name = "files"
    category = "drive"
    description = (
        "The user's shared folder. operation 'list' shows a folder, 'read' gives a text file (from a byte offset), "
        "'search' finds the lines of all files below a folder that contain a text, 'write' makes or replaces a "
        "file, or adds to its end with append. Paths are relative to the folder."
    )
    parameters = schema(
        ("operation",),
        operation={"type": "string", "enum": ["list", "read", "search", "write"]},
        path={"type": "string", "description": "A file or folder, like notes/today.txt; empty for the top."},
        query={"type": "string", "minLength": 1, "description": "For search: the text, in any case."},
        content={"type": "string", "description": "For write, required: the text; empty for an empty file."},
        append={"type": "boolean", "description": "For write: add to the end."},
        offset={"type": "integer", "minimum": 0, "description": "For read: the first byte."},
    )

    def __init__(self, settings: Files, home: Path, workers: Workers) -> None:
        self._settings = settings
        self._folder = Folder(home / Path(settings.folder).expanduser())
        self._workers = workers

    def stop(self) -> None:
        """Ends the searches that run."""
        self._workers.stop()

    def access(self, arguments: dict[str, Any]) -> Access:
        """Writing, or only looking."""
        writes = arguments["operation"] == "write"
        return Access(operation="write" if writes else "read", gate=self.name)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """Does it in a thread."""
        path = arguments.get("path", "")
        match arguments["operation"]:
            case "list":
                return self._workers.run(lambda abort: self._list(path))
            case "read":
                return self._workers.run(lambda abort: self._read(path, arguments.get("offset", 0)))
            case "search":
                return self._workers.run(lambda abort: self._search(path, arguments.get("query", ""), abort))
            case _:
                if "content" not in arguments:
                    raise ToolError(f"write needs content, so {path or 'the file'} was left as it is")
                content, append = arguments["content"], arguments.get("append", False)
                return self._workers.run(lambda abort: self._write(path, content, append))

    def _list(self, path: str) -> str:
        entries = self._folder.entries(path)
        lines = [
            f"{shown(each.name)}/" if each.is_folder else f"{shown(each.name)}  {each.size} bytes"
            for each in entries
        ]
        if len(lines) > MOST_ENTRIES:
            lines[MOST_ENTRIES:] = [f"... and {len(lines) - MOST_ENTRIES} more"]
        return "\n".join(lines) or "(empty)"

    def _read(self, path: str, offset: int) -> str:
        data, size = self._folder.read(path, offset, self._settings.max_read_bytes)
        if offset > size:
            raise ToolError(f"{path} has {size} bytes, and none at {offset}")
        codec = marked(self._folder.read(path, 0, 4)[0] if offset else data)
        if not is_text(data, codec):
            return f"{path} is no text file; it has {size} bytes."
        notes = []
        if not codec and not is_utf8(data):
            codec = LAST_RESORT
            notes.append(f"[it is not UTF-8; read as {codec}]")
        end = offset + len(data)
        if offset or end != size:
            notes.append(f"[bytes {offset} to {end} of {size}]")
        return "\n".join([text_of(data, codec), *notes])

    def _search(self, path: str, query: str, abort: Abort) -> str:
        if not query:
            raise ToolError("search needs a query")
        lines: list[str] = []
        for number, (name, data, _) in enumerate(self._folder.walk(path)):
            if abort.called or number >= MOST_SEARCHED or len(lines) > MOST_MATCHES:
                break
            if is_text(data):
                lines += _matches(name, data, query.casefold())
        if len(lines) > MOST_MATCHES:
            lines[MOST_MATCHES:] = ["... and more"]
        return "\n".join(lines) or "(nothing found)"

    def _write(self, path: str, content: str, append: bool) -> str:
        data = content.encode("utf-8", "replace")
        limit = self._settings.max_write_bytes
        if len(data) > limit:
            raise ToolError(f"the content has {len(data)} bytes; at most {limit} are allowed")
        return f"Written; {path} has {self._folder.write(path, data, append, limit)} bytes now."


def _matches(name: str, data: bytes, query: str) -> Iterator[str]:
    for number, line in enumerate(text_of(data).splitlines(), 1):
        if query in line.casefold():
            yield f"{name}:{number}: {line.strip()[:LONGEST_LINE]}"
