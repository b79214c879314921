"""Who has a port of this machine, as far as the system tells whoever asks.

On Linux the tables of the kernel say which socket listens there and whose it is; which process has it open is seen of
one's own processes, and of all by root. Elsewhere, and of others' processes, only Ollama is known: by asking its port.
"""

import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

OLLAMA_PORT = 11434
PROC = Path("/proc")
# The state of a socket that listens, in the kernel's tables.
_LISTENS = "0A"
_PATIENCE = 1.0
# Ports that are tried for a free one.
_TRIED = 50
# Characters of a command line that are told.
_LONGEST = 60


class Neighbour(Struct, frozen=True, kw_only=True):
    """Who has a port: the process and what it runs, its owner, None and "" where that is not told."""

    pid: int | None = None
    command: str = ""
    owner: str = ""

    @property
    def is_ollama(self) -> bool:
        """Whether it is Ollama itself."""
        program = self.command.split(" ")[0].rpartition("/")[2]
        return program == "ollama" or (not program and self.owner == "ollama")

    def __str__(self) -> str:
        name = "Ollama" if self.is_ollama else ""
        if self.pid is not None:
            ran = f"process {self.pid}, {self.command}" if self.command else f"process {self.pid}"
            return f"{name} ({ran})" if name else ran
        if self.owner:
            return f"{name or 'a program'} of the user {self.owner}"
        return name or "a program that cannot be told from here"

    @property
    def way_to_end_it(self) -> str:
        """A command, "" where none is known."""
        if self.is_ollama and self.owner == "ollama":
            return "sudo systemctl stop ollama"
        return f"kill {self.pid}" if self.pid is not None else ""


def neighbour_at(host: str, port: int, proc: Path = PROC) -> Neighbour:
    """Who listens where `host` and `port` are wanted."""
    sockets = dict(_listening(host, port, proc))
    found = _holder(sockets, proc)
    if found is not None:
        return found
    owner = next((_name_of(uid) for uid in sockets.values()), "")
    if owner in ("", "root") and port == OLLAMA_PORT and _answers_as_ollama(port):
        return Neighbour(command="ollama", owner=owner)
    return Neighbour(owner=owner)


def free_port_after(host: str, port: int) -> int:
    """The next port that nobody has; that one itself if there is none near."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for each in range(port + 1, min(port + _TRIED, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, each))
            return each
    return port


def _listening(host: str, port: int, proc: Path) -> Iterator[tuple[str, int]]:
    """The sockets that stand in the way, by their numbers, each with the user that it belongs to."""
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text("ascii").splitlines()[1:]
        except (OSError, UnicodeError):
            continue
        for row in rows:
            with suppress(ValueError, IndexError):
                words = row.split()
                address, _, there = words[1].partition(":")
                if words[3] == _LISTENS and int(there, 16) == port and _meet(host, address):
                    yield words[9], int(words[7])


def _meet(host: str, address: str) -> bool:
    """Whether a listener at that address, as the kernel writes it, keeps another one from `host`."""
    # Each four bytes are a number in this machine's order.
    words = [int(address[start : start + 8], 16).to_bytes(4, "little") for start in range(0, len(address), 8)]
    theirs = ip_address(b"".join(words))
    theirs = getattr(theirs, "ipv4_mapped", None) or theirs
    if host in ("", "0.0.0.0", "::") or theirs.is_unspecified:
        return True
    with suppress(ValueError):
        return ip_address(host) == theirs
    return True


def _holder(sockets: dict[str, int], proc: Path) -> Neighbour | None:
    """The process that has one of them open, among those into which we may look."""
    wanted = {f"socket:[{number}]": uid for number, uid in sockets.items()}
    if not wanted:
        return None
    for folder in proc.glob("[0-9]*"):
        with suppress(OSError):
            for handle in (folder / "fd").iterdir():
                with suppress(OSError):
                    if (name := os.readlink(handle)) in wanted:
                        return Neighbour(
                            pid=int(folder.name), command=_command(folder), owner=_name_of(wanted[name])
                        )
    return None


def _command(folder: Path) -> str:
    """What it was started as; of what may hold secrets only the beginning."""
    with suppress(OSError):
        words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        text = " ".join(words).strip()
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return ""


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _answers_as_ollama(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read(100) == b"Ollama is running"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
