"""Where a database server is, and the way to it."""

import socket
import ssl
from contextlib import suppress

from msgspec import Struct

from ...seams.errors import ToolError
from ..threads import Abort
from .sockets import BoundedSocket, BoundedTlsSocket


class Server(Struct, frozen=True, kw_only=True):
    """Where a database server is and who we are there.

    From a URL `postgresql://user:password@host:port/database`; `?sslmode=` is `disable` (the default), `require`
    (any certificate) or `verify-full`, and `?socket=` the path of a Unix socket.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    unix_socket: str = ""
    sslmode: str = "disable"

    def connect(self, seconds: float, abort: Abort) -> socket.socket:
        """A connected socket, which is shut when the work is aborted. Raises `ToolError`."""
        try:
            if self.unix_socket:
                connected = socket.socket(socket.AF_UNIX)
                connected.settimeout(seconds)
                connected.connect(self.unix_socket)
            else:
                connected = socket.create_connection((self.host, self.port), seconds)
        except OSError as error:
            raise ToolError(
                f"the database server {self.place} cannot be reached: {error.strerror or error}"
            ) from None
        # A second handle on the connection: TLS takes the first one away.
        handle = connected.dup()
        abort.hook(lambda: _shut(handle))
        return BoundedSocket(connected)

    @property
    def place(self) -> str:
        """The server in words, without the password."""
        return self.unix_socket or f"{self.host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """What `sslmode` asks for."""
        if self.sslmode == "disable":
            return None
        context = ssl.create_default_context()
        context.sslsocket_class = BoundedTlsSocket
        if self.sslmode == "require":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _shut(handle: socket.socket) -> None:
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
    handle.close()
