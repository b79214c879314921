"""A home in one file: what is packed, and how it is looked at before anything of it is believed."""

import gzip
import io
import json
import lzma
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from ..config import Home
from ..store.schema import MIGRATIONS

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
)
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


def unpack(file: Path, stage: Path) -> None:
    """Puts what a backup holds into the empty folder `stage`, and looks at it there. Raises `Unusable` or `OSError`."""
    if is_database(file):
        target = stage / "sessions.db"
        # SQLite would make it readable for others.
        target.touch(0o600)
        try:
            copy_database(file, target)
        except sqlite3.Error as error:
            raise Unusable(f"its conversations are damaged ({error})") from None
    else:
        try:
            with tarfile.open(file) as archive:
                for entry in archive:
                    _take_out(archive, entry, stage)
                # At its very end stands the sum by which damage shows.
                while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                    pass
        except _DAMAGE:
            raise Unusable("it is neither a database nor a whole archive") from None
    for path in _files(stage):
        _look_at(path, path.relative_to(stage).as_posix())
    if not any(stage.iterdir()):
        raise Unusable("there is nothing in it")


def _take_out(archive: tarfile.TarFile, entry: tarfile.TarInfo, stage: Path) -> None:
    """Files and folders below the stage only: an archive may have been made by anybody."""
    name = PurePosixPath(entry.name)
    if entry.isdir() and not name.is_absolute() and ".." not in name.parts:
        return
    is_outside = not name.parts or name.is_absolute() or ".." in name.parts or "\0" in entry.name
    if (
        not entry.isreg()
        or is_outside
        or _is_left_out(str(name))
        or (len(name.parts) > 1 and name.parts[0] in _FILES)
    ):
        raise Unusable(f"it holds {entry.name!r}, which no backup of a home holds")
    target = stage.joinpath(*name.parts)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = archive.extractfile(entry) or io.BytesIO()
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while piece := content.read(1 << 20):
            out.write(piece)
        # For its owner only, whatever the archive says.
        os.fchmod(out.fileno(), 0o600 | (entry.mode & 0o100))
    os.utime(target, (entry.mtime, entry.mtime))


def _look_at(path: Path, name: str) -> None:
    """Raises `Unusable` for what a server could not use."""
    if name == "sessions.db":
        _look_at_conversations(path)
    elif name in _JSON:
        try:
            json.loads(path.read_text("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise Unusable(f"its {name} is not JSON ({error})") from None


def _look_at_conversations(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copy:
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
