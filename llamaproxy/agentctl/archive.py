"""A home in one file: what is packed, and how it is looked at before anything of it is believed."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ..config import Home
from ..store.schema import AT_REST, MIGRATIONS

# What SQLite keeps beside a database, and is in a copy of it.
_LOGS = ("-wal", "-shm", "-journal")
# Weights are fetched again, and what belongs to a running server is of no use in another place.
_LEFT_OUT = ("models", *(f"sessions.db{log}" for log in _LOGS))
_LEFT_OUT_KINDS = (".lock", ".pid")
_JSON = ("plugins-enabled.json", "llm-models.json", "gate-defaults.json", "plugin-manifest.json")
# A server cannot start where one of these is a folder.
_FILES = (*_JSON, "sessions.db", ".env", ".system_prompt")
# Where `restore` puts what it works on, and what it found.
STAGE = ".restore-"
REPLACED = "replaced-"
# What reading such an archive fails with.
_DAMAGE = (
    tarfile.TarError,
    EOFError,
    OverflowError,
    ValueError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    # Heads of heads of heads.
    RecursionError,
)
# How an archive begins that is packed, and what unpacks it.
_PACKED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
# What is taken out of an archive unless somebody says how much more: so many bytes, or so many times its own. Text and
# databases shrink to a tenth; what unpacks to a thousand times as much was made to fill a disk.
MOST_BYTES, MOST_TIMES = 1 << 30, 50
# Bytes of the disk that stay free; files in all, folders within each other, and bytes of a file of settings.
SPARE, MOST_FILES, DEEPEST, MOST_SETTINGS = 256 << 20, 100_000, 40, 16 << 20
# Bytes at a time. What says more about a file than this was not made by `pack`.
_PIECE = 1 << 20
_SQLITE = b"SQLite format 3\0"
# Pages at a time, between which a running server may write.
_PAGES = 1000


class Unusable(Exception):
    """The file is no backup, or not a whole one; the text says why."""


def copy_database(source: Path, target: Path) -> None:
    """A whole copy of an SQLite file that others may be writing. Raises `sqlite3.Error` or `OSError`."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as present,
        closing(sqlite3.connect(target)) as copy,
    ):
        present.backup(copy, pages=_PAGES)
        # One file is all of it, without another beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute(f"PRAGMA application_id = {AT_REST}")


def is_database(path: Path) -> bool:
    """Whether it is an SQLite file, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def pack(home: Home, target: Path, scratch: Path) -> int:
    """Writes the files of a home into one; returns how many. `scratch` is where a copy may lie for a moment."""
    count = 0
    with tarfile.open(target, "w:gz") as archive:
        for path in _files(home.path):
            name = path.relative_to(home.path).as_posix()
            if _is_left_out(name) or _is_log(path):
                continue
            source = path
            if is_database(path):
                copy_database(path, scratch)
                source = scratch
            with source.open("rb") as file:
                entry = tarfile.TarInfo(name)
                entry.size = os.fstat(file.fileno()).st_size
                entry.mtime, entry.mode = int(path.stat().st_mtime), path.stat().st_mode & 0o777
                archive.addfile(entry, file)
            scratch.unlink(missing_ok=True)
            count += 1
    return count


def _files(folder: Path) -> Iterator[Path]:
    """All below it. Folders elsewhere, behind a link, are not its own."""
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from _files(path)


def _is_left_out(name: str) -> bool:
    """Whether a backup lacks what has this name in a home. What lies in folders belongs to tools and people."""
    top, _, below = name.partition("/")
    return (
        top in _LEFT_OUT or top.startswith((STAGE, REPLACED)) or (not below and top.endswith(_LEFT_OUT_KINDS))
    )


def _is_log(path: Path) -> bool:
    """Whether the database that it belongs to lies beside it."""
    bases = (path.with_name(path.name.removesuffix(log)) for log in _LOGS if path.name.endswith(log))
    return any(base.is_file() and is_database(base) for base in bases)


class _Bounded(io.RawIOBase):
    """What a packed archive holds, read from its beginning to its end, and never more than `most` bytes of it."""

    def __init__(self, source: IO[bytes], most: int) -> None:
        super().__init__()
        self._source, self._most = source, most
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes on to there. Raises `Unusable` for a way back, which no whole archive needs."""
        if whence != io.SEEK_SET or offset < self._place:
            raise Unusable("it is neither a database nor a whole archive")
        while self._place < offset and self.read(min(_PIECE, offset - self._place)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises `Unusable` beyond the bounds."""
        if not 0 <= size <= _PIECE:
            raise Unusable("what it says of its files is longer than any backup has it")
        try:
            data = self._source.read(size)
        except OSError as error:
            if error.errno is None:  # how bz2 says that it is damaged
                raise tarfile.ReadError(str(error)) from None
            raise
        self._place += len(data)
        if self._place > self._most:
            raise Unusable(
                f"it unpacks to more than {_told(self._most)}; if that is meant, and the disk has the room, say "
                "--most GIB"
            )
        return data


def _told(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MiB"


def _opened(file: Path) -> IO[bytes]:
    """The archive itself, of whatever packs it."""
    with file.open("rb") as packed:
        beginning = packed.read(8)
    opener = next((each for mark, each in _PACKED.items() if beginning.startswith(mark)), None)
    opened: IO[bytes] = file.open("rb") if opener is None else opener(file)
    return opened


def unpack(file: Path, stage: Path, most: int | None = None) -> None:
    """Puts what a backup holds into the empty folder `stage`, and looks at it there. Raises `Unusable` or `OSError`.

    It is unpacked up to `most` bytes, or as many as one of its size may hold, and never beyond what the disk has room
    for.
    """
    size = file.stat().st_size
    room = max(0, shutil.disk_usage(stage).free - SPARE)
    if is_database(file):
        if size > room:
            raise Unusable(f"the disk has room for {_told(room)} only")
        target = stage / "sessions.db"
        # SQLite would make it readable for others.
        target.touch(0o600)
        try:
            copy_database(file, target)
        except sqlite3.Error as error:
            raise Unusable(f"its conversations are damaged ({error})") from None
    else:
        wanted = most if most is not None else max(MOST_BYTES, MOST_TIMES * size)
        try:
            with _opened(file) as source, _Bounded(source, min(wanted, room)) as content:
                _take_all(content, stage)
        except _DAMAGE:
            raise Unusable("it is neither a database nor a whole archive") from None
    for path in _files(stage):
        _look_at(path, path.relative_to(stage).as_posix())
    if not any(stage.iterdir()):
        raise Unusable("there is nothing in it")


def _take_all(content: _Bounded, stage: Path) -> None:
    with tarfile.open(fileobj=content, mode="r:") as archive:
        for number, entry in enumerate(archive):
            if number == MOST_FILES:
                raise Unusable(f"it holds more than {MOST_FILES} files")
            _take_out(archive, entry, stage)
    # At its very end stands the sum by which damage shows.
    while content.read(_PIECE):
        pass


def _take_out(archive: tarfile.TarFile, entry: tarfile.TarInfo, stage: Path) -> None:
    """Files and folders below the stage only: an archive may have been made by anybody."""
    name = PurePosixPath(entry.name)
    if entry.isdir() and not name.is_absolute() and ".." not in name.parts:
        return
    is_outside = not name.parts or name.is_absolute() or ".." in name.parts or "\0" in entry.name
    if (
        not entry.isreg()
        # With holes: bytes that are not there.
        or entry.issparse()
        or is_outside
        or len(name.parts) > DEEPEST
        or _is_left_out(str(name))
        or (len(name.parts) > 1 and name.parts[0] in _FILES)
    ):
        raise Unusable(f"it holds {entry.name[:200]!r}, which no backup of a home holds")
    target = stage.joinpath(*name.parts)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = archive.extractfile(entry) or io.BytesIO()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        shutil.copyfileobj(content, out, _PIECE)
        # For its owner only, whatever the archive says.
        os.fchmod(out.fileno(), 0o600 | (entry.mode & 0o100))
    os.utime(target, (entry.mtime, entry.mtime))


def _look_at(path: Path, name: str) -> None:
    """Raises `Unusable` for what a server could not use."""
    if name == "sessions.db":
        _look_at_conversations(path)
    elif name in _FILES and path.stat().st_size > MOST_SETTINGS:
        raise Unusable(f"its {name} is larger than {_told(MOST_SETTINGS)}")
    elif name in _JSON:
        try:
            json.loads(path.read_text("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise Unusable(f"its {name} is not JSON ({error})") from None


def _look_at_conversations(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
            # Nothing that it was made to compute is computed.
            copy.execute("PRAGMA trusted_schema = OFF")
            foreign = copy.execute(
                "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%'"
            ).fetchall()
            if foreign:
                raise Unusable(f"its conversations hold {foreign[0][0]!r}, which none of ours do")
            [(verdict, *_), *_] = copy.execute("PRAGMA integrity_check(1)").fetchall()
            [(version,)] = copy.execute("PRAGMA user_version").fetchall()
            tables = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise Unusable(f"its conversations cannot be read ({error})") from None
    if verdict != "ok":
        raise Unusable(f"its conversations are damaged ({verdict})")
    if not {"sessions", "messages"} <= tables:
        raise Unusable("it is a database, but holds no conversations of ours")
    if version > len(MIGRATIONS):
        raise Unusable("its conversations are of a newer version; upgrade first")
