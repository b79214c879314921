"""JSON files that people and programs both edit: read with helpful errors, written whole or not at all."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .links import destination

_ACCESS = "Check that the folder exists, and who owns it."


class JsonFile:
    """One file that holds one JSON object.

    What a caller does not touch keeps its value and its place; only the white space becomes uniform. Every
    method raises `ConfigError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any]:
        """The object in the file; a byte order mark is forgiven."""
        try:
            content = json.loads(self.path.read_text("utf-8-sig"))
        except FileNotFoundError:
            raise ConfigError(self.path, "", "no such file", "Check the home folder (--home).") from None
        except OSError as error:
            raise ConfigError(self.path, "", f"cannot be read ({error.strerror})", _ACCESS) from None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise ConfigError(self.path, where, f"not JSON ({error.msg})", "Correct it there.") from None
        except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5000 digits, 10000 brackets
            raise ConfigError(self.path, "", f"not JSON ({error})", "Restore it from a copy.") from None
        if not isinstance(content, dict):
            problem = "expected an object at the top"
            raise ConfigError(self.path, "", problem, "Put everything between { and }.")
        return content

    def write(self, content: dict[str, Any]) -> None:
        """Replaces the file in one step; it keeps its mode and owner, a new one is for its owner only."""
        target = destination(self.path)
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            scratch.unlink(missing_ok=True)
            with open(scratch, "xb", opener=no_link) as file:
                take_after(file.fileno(), target)
                file.write(_text(content).encode())
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(target)
        except OSError as error:
            with suppress(OSError):
                scratch.unlink()
            raise ConfigError(self.path, "", f"cannot be written ({error.strerror})", _ACCESS) from None

    def create(self, content: dict[str, Any]) -> None:
        """Writes the file unless there is one."""
        if not self.path.exists():
            with self._lock():
                if not self.path.exists():
                    self.write(content)

    @contextmanager
    def update(self) -> Iterator[dict[str, Any]]:
        """Gives the object to change and writes it afterwards, if it was changed and the block did not raise.

        Whoever else updates the file, in this process or another, waits until then.
        """
        with self._lock():
            content = self.read()
            before = _text(content)
            yield content
            if _text(content) != before:
                self.write(content)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        # A file of its own: the one it guards is replaced at every write, and would take its lock along.
        path = self.path.with_name(f".{self.path.name}.lock")
        try:
            file = open(path, "ab", opener=no_link)  # noqa: SIM115
        except OSError as error:
            raise ConfigError(path, "", f"cannot be written ({error.strerror})", _ACCESS) from None
        with file:
            take_after(file.fileno(), self.path)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def no_link(path: str, flags: int) -> int:
    """An opener for `open` that follows no link, which somebody may have put there to have another file written."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def take_after(descriptor: int, path: Path) -> None:
    """Gives an open file the mode and owner of the one at `path`, or of its folder.

    So a file that root edits stays readable for the user whom the server runs as.
    """
    try:
        status = path.stat()
        mode = status.st_mode & 0o777
    except FileNotFoundError:
        status, mode = path.parent.stat(), 0o600
    with suppress(PermissionError):
        os.fchmod(descriptor, mode)
        os.fchown(descriptor, status.st_uid, status.st_gid)
