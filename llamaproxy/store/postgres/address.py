"""Where the database is, as the operator wrote it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ...seams.errors import StoreError

SCHEMES = ("postgresql", "postgres")
SSL_MODES = ("disable", "require", "verify-full")

# Seconds until a server that does not answer counts as gone: the kernel asks for signs of life by itself.
CONNECT = 5
SILENCE = 10


def is_postgres(url: str) -> bool:
    """Whether a store's address is one of PostgreSQL."""
    return url.partition("://")[0] in SCHEMES


def connect_arguments(url: str, password_env: str, variable: Callable[[str], str | None]) -> dict[str, Any]:
    """What psycopg needs to connect. Raises `StoreError` in words for the operator.

    As for `db_query`, `?sslmode=` is `disable`, `require` or `verify-full`, and `?socket=` the path of a Unix socket.
    A password in the address is refused: files that name it are read by more people than those that may know it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError as error:
        raise StoreError(f"the store's address cannot be read ({error})") from None
    if parts.password is not None:
        raise StoreError(
            "the store's address holds a password; name a variable in store_password_env instead"
        )
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = query.pop("sslmode", "disable")
    socket = query.pop("socket", None)
    if mode not in SSL_MODES:
        raise StoreError(f"sslmode of the store is one of {', '.join(SSL_MODES)}, not {mode}")
    if query:
        raise StoreError(f"the store's address has a setting that nobody knows: {min(query)}")
    arguments: dict[str, Any] = {
        "dbname": unquote(parts.path.lstrip("/")) or "llamaproxy",
        "host": parts.hostname or "localhost",
        "port": port,
        "sslmode": mode,
        "client_encoding": "utf8",
        "connect_timeout": CONNECT,
        "keepalives_idle": SILENCE // 2,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": SILENCE * 1000,
        "application_name": "llamaproxy",
    }
    if socket is not None:
        folder, _, name = socket.rpartition("/")
        arguments |= {"host": folder, "port": int(name.rpartition(".")[2]) if "." in name else port}
    if parts.username:
        arguments["user"] = unquote(parts.username)
    if password := variable(password_env):
        arguments["password"] = password
    return arguments


def shown(url: str) -> str:
    """The address without what is nobody's business, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or 'localhost'}{parts.path}"
