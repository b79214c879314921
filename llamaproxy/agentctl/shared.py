"""The PostgreSQL that several nodes share, as subcommands open it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Any

from ..config import Home
from ..config.load import load_settings
from ..seams.errors import StoreError
from ..store.postgres.address import connect_arguments, shown
from .command import Refused


def writing(home: Home, address: str, password_env: str = "") -> Any:
    """A connection to write with, behind which the tables are what this version knows. Raises `Refused`."""
    with explained(address):
        from ..store.postgres.database import Database

        return Database(_arguments(home, address, password_env), time)


def reading(home: Home, address: str) -> Any:
    """A connection that changes nothing, not even tables of an older version. Raises `Refused`."""
    with explained(address):
        from ..store.postgres.database import Reader

        return Reader(_arguments(home, address, ""))


@contextmanager
def explained(address: str) -> Iterator[None]:
    """What fails in it is refused in a line."""
    try:
        import psycopg
    except ImportError:
        raise Refused("psycopg is not installed; run: pip install 'llamaproxy[postgres]'") from None
    try:
        yield
    except psycopg.errors.UndefinedTable:
        raise Refused(f"there are no conversations yet: {shown(address)} has no tables for them") from None
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise Refused(f"the store {shown(address)} cannot be used: {reason}") from None
    except StoreError as error:
        raise Refused(str(error)) from None


def _arguments(home: Home, address: str, password_env: str) -> dict[str, Any]:
    environ = {**home.read_env(), **os.environ}
    name = password_env or load_settings(home).front_door.store_password_env
    return connect_arguments(address, name, environ.get)
