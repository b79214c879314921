"""Sockets to a database server that take in only so much: drivers read a whole value before anybody can cut it."""

import socket
import ssl
from typing import Any

from ...seams.errors import ToolError

# Bytes that a server may send for one statement.
MOST_RECEIVED = 16 * 1024 * 1024


class _Counting:
    """Counts what is read, and raises `ToolError` where that is too much. To be mixed into a socket."""

    received = 0

    def recv_into(self, *arguments: Any, **more: Any) -> int:
        """Reads, as a socket does."""
        count: int = super().recv_into(*arguments, **more)  # type: ignore[misc]
        self.received += count
        if self.received > MOST_RECEIVED:
            raise ToolError(
                f"the database's answer has more than {MOST_RECEIVED // 1024 // 1024} MiB; ask for parts of "
                "large values, or for fewer of them"
            )
        return count


class BoundedSocket(_Counting, socket.socket):
    """A socket without TLS; takes over the one that it is made from."""

    def __init__(self, connected: socket.socket) -> None:
        timeout = connected.gettimeout()
        super().__init__(fileno=connected.detach())
        self.settimeout(timeout)


class BoundedTlsSocket(_Counting, ssl.SSLSocket):
    """What an `ssl.SSLContext` makes of a socket."""
