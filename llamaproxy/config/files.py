"""JSON files that people and programs both edit: read with helpful errors, written whole or not at all."""

import fcntl
import json
import os
import re
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
            text = self.path.read_text("utf-8-sig")
        except FileNotFoundError:
            raise ConfigError(self.path, "", "no such file", "Check the home folder (--home).") from None
        except OSError as error:
            raise ConfigError(self.path, "", f"cannot be read ({error.strerror})", _ACCESS) from None
        except UnicodeError as error:
            remedy = "Save it as UTF-8, or restore it from a copy."
            raise ConfigError(self.path, "", f"not JSON, as it is not UTF-8 ({error})", remedy) from None
        try:
            content = json.loads(text, object_pairs_hook=_unlike)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise ConfigError(
                self.path, where, f"not JSON ({odd_in(text, error)})", "Correct it there."
            ) from None
        except _Twice as twice:
            where = f"line {_second_line(text, twice.key)}"
            problem = f"{twice.key} stands twice in the same object"
            raise ConfigError(
                self.path, where, problem, "Take one of the two out; the other one counts."
            ) from None
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


class _Twice(Exception):
    """A key stands twice in an object: JSON has no say in what that means, and most programs take the last."""

    def __init__(self, key: str) -> None:
        self.key = key


def _unlike(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Twice(key)
            seen.add(key)
    return made


def _second_line(text: str, key: str) -> int:
    """Where a key stands for the second time, as far as that can be told from the text."""
    mark = re.compile(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:")
    places = [found.start() for found in mark.finditer(text)]
    return text.count("\n", 0, places[min(1, len(places) - 1)]) + 1 if places else 1


def odd_in(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong there, in the words of who wrote it by hand."""
    here, before = text[error.pos : error.pos + 2], text[: error.pos].rstrip()
    if not text.strip():
        return "the file is empty"
    if here.startswith(("//", "/*", "#")):
        return "it has no comments"
    if here[:1] in ("}", "]") and before.endswith(","):
        return f"a comma before the closing {here[0]}"
    if here[:1] in ("'", "\N{LEFT SINGLE QUOTATION MARK}", "\N{LEFT DOUBLE QUOTATION MARK}"):
        return 'names and texts stand between "straight double quotes"'
    if not here:
        return "it ends too early; a bracket or a quotation mark is still open"
    if error.msg.startswith("Expecting ',' delimiter"):
        return "a comma is missing before this"
    if text[error.pos :].startswith(("True", "False", "None")):
        return "it has true, false and null, in small letters"
    return error.msg


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
