"""Which database a URL names."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from .server import Server
from .statement import Database, Dialect


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
