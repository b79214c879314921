"""The operator's key: made once, kept in the home folder for the eyes of its owner only."""

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe

from .errors import ConfigError
from .files import take_after

_KEY = re.compile(r"[!-~]{32,200}")
_RENEW = "Make another one: agentctl operator-key new"


def operator_key(file: Path) -> str:
    """The key in `file`, which is made where it is missing. Raises `ConfigError`."""
    try:
        if not os.path.lexists(file):
            _make(file)
        return _read(file)
    except OSError as error:
        raise ConfigError(file, "", f"cannot be used ({error.strerror})", _RENEW) from None


def new_operator_key(file: Path) -> str:
    """Replaces the key, also one that cannot be read. A running server goes on with the old one."""
    try:
        with suppress(FileNotFoundError):
            file.unlink()
    except OSError as error:
        remedy = "Check who owns the folder."
        raise ConfigError(file, "", f"cannot be replaced ({error.strerror})", remedy) from None
    return operator_key(file)


def _make(file: Path) -> None:
    """Two programs that start at the same time end up with one key: the file appears whole, or not at all."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        scratch.unlink()
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w") as opened:
            take_after(handle, file)
            opened.write(token_urlsafe(32) + "\n")
        with suppress(FileExistsError):
            os.link(scratch, file)
    finally:
        scratch.unlink()


def _read(file: Path) -> str:
    # A link could lead to a file that somebody else reads, or writes.
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "r", encoding="ascii", errors="replace") as opened:
        if stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
            os.fchmod(handle, 0o600)
        text = opened.read(1000).strip()
    if not _KEY.fullmatch(text):
        raise ConfigError(file, "", "holds no key", _RENEW)
    return text
