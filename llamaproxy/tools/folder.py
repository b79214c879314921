"""One folder that nothing leads out of: no `..`, no absolute path, no symbolic link, and no race to swap one in.

Every name on a path is opened on its own, relative to the open folder before it, and never through a link. What is
opened is looked at before it is read, so that a pipe or a device cannot hold the thread.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from ..seams.errors import ToolError
from .filenames import given, shown

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
DEEPEST = 16


class Entry(NamedTuple):
    """A file or folder inside a folder; `size` is in bytes, 0 for a folder."""

    name: str
    is_folder: bool
    size: int


class Folder:
    """The files below `root`. All paths are relative to it; every method blocks, and raises `ToolError`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, path: str) -> list[Entry]:
        """What lies in a folder, by name; links, pipes and devices are passed over."""
        with self._opened(_parts(path)) as folder:
            return _entries(folder)

    def read(self, path: str, offset: int, size: int) -> tuple[bytes, int]:
        """At most `size` bytes from `offset` on, and the whole size of the file."""
        *parents, name = _parts(path, needs_name=True)
        with self._opened(parents) as folder:
            return _read(folder, _meant(folder, name), path, offset, size)

    def write(self, path: str, content: bytes, append: bool, limit: int) -> int:
        """Puts `content` in place of a file or at its end, in one step; the size of the file then.

        Missing folders on the way are made. At most `limit` bytes are kept of an appended file.
        """
        *parents, name = _parts(path, needs_name=True)
        with self._opened(parents, make=True) as folder:
            name = _meant(folder, name)
            if append and _exists(folder, name):
                old, size = _read(folder, name, path, 0, limit)
                if size + len(content) > limit:
                    raise ToolError(f"{path} would be larger than the {limit} bytes that are allowed")
                content = old + content
            _replace(folder, name, path, content)
        return len(content)

    def walk(self, path: str) -> Iterator[tuple[str, bytes, int]]:
        """The regular files below a folder, as (path, first MiB, size)."""
        parts = _parts(path)
        with self._opened(parts) as folder:
            yield from _walk(folder, "/".join(parts), DEEPEST)

    @contextmanager
    def _opened(self, parts: list[str], make: bool = False) -> Iterator[int]:
        """The open folder at the end of `parts`; the first use of the root makes it."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The operator may have put a link here; below it there is none.
            current = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise ToolError(f"the folder cannot be opened: {error.strerror}") from None
        try:
            for number, part in enumerate(parts, 1):
                path, part = "/".join(parts[:number]), _meant(current, part)
                if make:
                    _make(current, part, path)
                current = _step(current, part, path)
            yield current
        finally:
            os.close(current)


def _parts(path: str, needs_name: bool = False) -> list[str]:
    if "\0" in path:
        raise ToolError("a path has no NUL in it")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ToolError("a path has no half characters in it") from None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts:
        raise ToolError(f"{path} leads out of the folder; give a path inside it, like notes/today.txt")
    if needs_name and not parts:
        raise ToolError("give the path of a file")
    if len(parts) > DEEPEST:
        raise ToolError(f"a path has at most {DEEPEST} folders")
    return parts


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _meant(folder: int, name: str) -> str:
    """The name of a file as it is, where it was given as it is shown."""
    if "\\" not in name or _exists(folder, name):
        return name
    meant = given(name)
    return meant if meant and _exists(folder, meant) else name


def _make(current: int, part: str, path: str) -> None:
    try:
        os.mkdir(part, 0o700, dir_fd=current)
    except FileExistsError:
        pass
    except OSError as error:
        raise _refusal(path, error) from None


def _step(current: int, part: str, path: str) -> int:
    """From one open folder to the next; the first is closed, unless there is none to go to."""
    try:
        following = os.open(part, _FOLDER, dir_fd=current)
    except OSError as error:
        raise _refusal(path, error) from None
    os.close(current)
    return following


def _refusal(path: str, error: OSError) -> ToolError:
    if isinstance(error, FileNotFoundError):
        return ToolError(f"there is no {path}")
    links = "; links are not followed" if error.errno in (errno.ELOOP, errno.ENOTDIR) else ""
    return ToolError(f"{path} cannot be used ({error.strerror or error}){links}")


def _entries(folder: int) -> list[Entry]:
    found = []
    for name in sorted(os.listdir(folder)):
        with suppress(OSError):  # gone by now, say
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                found.append(Entry(name, True, 0))
            elif stat.S_ISREG(status.st_mode):
                found.append(Entry(name, False, status.st_size))
    return found


def _read(folder: int, name: str, path: str, offset: int, size: int) -> tuple[bytes, int]:
    try:
        with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ToolError(f"{path} is not a file")
            # Beyond the end there is nothing, and the system takes no offset beyond its own bounds.
            return os.pread(file.fileno(), size, min(offset, status.st_size)), status.st_size
    except OSError as error:
        raise _refusal(path, error) from None


def _replace(folder: int, name: str, path: str, content: bytes) -> None:
    """Writes beside the file and puts that in its place, so that a link or a second name of it is left alone."""
    scratch = f".{token_hex(8)}.part"
    try:
        with os.fdopen(os.open(scratch, _NEW, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
        os.rename(scratch, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        with suppress(OSError):
            os.unlink(scratch, dir_fd=folder)
        raise _refusal(path, error) from None


def _walk(folder: int, path: str, depth: int) -> Iterator[tuple[str, bytes, int]]:
    for entry in _entries(folder):
        below = f"{path}/{shown(entry.name)}".lstrip("/")
        if not entry.is_folder:
            with suppress(ToolError):
                yield below, *_read(folder, entry.name, below, 0, 1024 * 1024)
        elif depth:
            with suppress(OSError):
                inner = os.open(entry.name, _FOLDER, dir_fd=folder)
                try:
                    yield from _walk(inner, below, depth - 1)
                finally:
                    os.close(inner)
