"""A private PostgreSQL for the tests of the store, with a database for each of them."""

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from twisted.trial.unittest import SkipTest

from llamaproxy.store.postgres.address import connect_arguments
from tests.tools.sql.servers import Missing, postgres

try:
    import psycopg
except ImportError:
    psycopg = None  # type: ignore[assignment]

T = TypeVar("T")
# Whether there is what speaks with a server.
INSTALLED = psycopg is not None

_numbers = count(1)


def or_skip(make: Callable[[], T]) -> T:
    """What needs PostgreSQL and psycopg. Raises `SkipTest` where one of them is missing."""
    if not INSTALLED:
        raise SkipTest("psycopg is not installed; with pip: pip install 'llamaproxy[postgres]'")
    try:
        return make()
    except Missing as missing:
        raise SkipTest(str(missing)) from None


def fresh_database() -> dict[str, Any]:
    """psycopg's arguments for a database that nobody has used. Raises `SkipTest` where there is no server."""
    return connect_arguments(fresh_url(), "PASSWORD", lambda _: None)


def fresh_url() -> str:
    """The address of a database that nobody has used. Raises `SkipTest` where there is no server."""
    server = or_skip(postgres)
    name = f"store{next(_numbers)}"
    server.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@localhost/{name}?socket={server.folder}/.s.PGSQL.5432"
