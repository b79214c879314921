"""What all databases have in common: how they are named, reached and bounded."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from ...seams.errors import ToolError
from ..threads import Abort
from .sockets import BoundedSocket, BoundedTlsSocket

if TYPE_CHECKING:
    from .guard import Verdict

Dialect = Literal["sqlite", "postgres", "mysql"]


class Bounds(Struct, frozen=True, kw_only=True):
    """How much a statement may give and take: rows, bytes of text, seconds; and seconds for connecting."""

    rows: int = 100
    bytes: int = 32 * 1024
    seconds: float = 20.0
    connect_seconds: float = 5.0


class Database(Protocol):
    """One database."""

    def run(self, verdict: "Verdict", bounds: Bounds, abort: Abort) -> str:
        """Runs one statement, blocking; without writes in the `verdict`, on a connection that refuses them.

        Gives the rows as text, or what was done. Raises `ToolError`; ends early when aborted.
        """


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


def _server(url: str, password: str, default_port: int) -> Server:
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return Server(
        host=parts.hostname or "localhost",
        port=parts.port or default_port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or "") or password,
        database=unquote(parts.path.lstrip("/")),
        unix_socket=query.get("socket", ""),
        sslmode=query.get("sslmode", "disable"),
    )


class Target(Struct, frozen=True, kw_only=True):
    """Which database it is; `schema` is the one that a bare table name belongs to, `label` names its kind."""

    dialect: Dialect
    label: str
    schema: str
    open: Callable[[], Database]


def find_database(url: str, password: str, home: Path) -> Target:
    """The database of a URL, or of a path of an SQLite file, which counts from `home`.

    `password` stands in where the URL has none. Loads no driver and connects to nothing before it is opened.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        return _postgres(_server(url, password, 5432))
    if separator and scheme in ("mysql", "mariadb"):
        return _mysql(_server(url, password, 3306), "MariaDB" if scheme == "mariadb" else "MySQL")
    return _sqlite(home / Path(rest.removeprefix("/") if separator else url).expanduser())


def _sqlite(path: Path) -> Target:
    def opened() -> Database:
        from .sqlite import SqliteDatabase

        return SqliteDatabase(path)

    return Target(dialect="sqlite", label="SQLite", schema="main", open=opened)


def _postgres(server: Server) -> Target:
    def opened() -> Database:
        from .postgres import PostgresDatabase

        return PostgresDatabase(server)

    return Target(dialect="postgres", label="PostgreSQL", schema="public", open=opened)


def _mysql(server: Server, label: str) -> Target:
    def opened() -> Database:
        from .mysql import MysqlDatabase

        return MysqlDatabase(server)

    return Target(dialect="mysql", label=label, schema=server.database, open=opened)
