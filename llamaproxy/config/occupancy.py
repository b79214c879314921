"""One server to a home: a lock that ends with its process, and tells who has it."""

import fcntl
import os
from pathlib import Path
from typing import NamedTuple

from .errors import ConfigError


class Occupancy:
    """The lock of one home, in `file`. The processes that a server starts belong to it, and ask for none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._handle: int | None = None

    def take(self) -> None:
        """Takes the home until the process ends. Raises `ConfigError`, which names whoever has it."""
        try:
            handle = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            remedy = "Check who owns the folder."
            raise ConfigError(self._file, "", f"cannot be written ({error.strerror})", remedy) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _signed(handle)
            os.close(handle)
            who = f"the server with process id {holder.pid}" if holder.pid else "another server"
            remedy = "End it first, or give this one a home of its own with --home."
            raise ConfigError(self._file.parent, "", f"is in use by {who}", remedy) from None
        except OSError:
            # There are file systems without locks, where nothing can be told.
            os.close(handle)
            return
        self._handle = handle
        self.sign()

    def release(self) -> None:
        """Gives it back before that."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def sign(self, address: str = "") -> None:
        """Says which process it is: after `twistd` has become a daemon that is another one.

        `address` is the URL at which this machine reaches it.
        """
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n{address}\n".encode(), 0)


class Holder(NamedTuple):
    """The server that has a home: its process, None if that is not told, and its URL, "" if that is not."""

    pid: int | None
    address: str


def holder_of(file: Path) -> Holder | None:
    """The server that has the home, as far as that can be told; None if none has it."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _signed(handle)
    except OSError:
        return None
    finally:
        os.close(handle)
    return None


def is_vacant(file: Path) -> bool:
    """Whether no server has the home, beyond doubt: there are file systems where that cannot be told."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return not os.path.lexists(file)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _signed(handle: int) -> Holder:
    pid, _, address = os.pread(handle, 1000, 0).decode("ascii", "replace").partition("\n")
    is_one = pid.isdecimal() and len(pid) < 16 and int(pid) > 1
    return Holder(int(pid) if is_one else None, address.strip())
