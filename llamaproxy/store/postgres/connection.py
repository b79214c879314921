"""psycopg's connection, as the statements of `store` know one."""

import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import psycopg

# How soon the database notices that this machine is cut off: by itself it would ask after two hours. What the machine
# has locked until then is free again. And a statement sees what was committed before it, whatever others on this
# database prefer.
SETTINGS = """
    SET tcp_keepalives_idle = 5;
    SET tcp_keepalives_interval = 2;
    SET tcp_keepalives_count = 2;
    SET tcp_user_timeout = 10000;
    SET default_transaction_isolation = 'read committed'
"""


class Connection:
    """One connection, in autocommit; belongs to one thread. Raises `psycopg.Error`."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.raw = psycopg.connect(autocommit=True, **arguments)
        self.set_up(SETTINGS)

    def set_up(self, settings: str) -> None:
        """Makes it what whoever connects wants; closes it where that fails, as nobody has it then."""
        try:
            self.raw.execute(settings)
        except BaseException:
            self.raw.close()
            raise

    @property
    def broken(self) -> bool:
        """Whether the server is gone, as far as this connection knows."""
        return self.raw.closed

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> "psycopg.Cursor[Any]":
        """See `reading.Connection`."""
        return self.raw.execute(_translated(statement), [_whole(each) for each in parameters])

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]], /) -> None:
        """See `reading.Connection`."""
        with self.raw.cursor() as cursor:
            cursor.executemany(_translated(statement), [[_whole(each) for each in row] for row in parameters])

    def transaction(self) -> AbstractContextManager[Any]:
        """Commits at the end, or rolls back; one inside another is a part of it that can fail alone."""
        return self.raw.transaction()

    def together(self) -> AbstractContextManager[Any]:
        """Sends the statements in it without waiting for each; what they give may be looked at behind it."""
        return self.raw.pipeline()

    def interrupt(self) -> None:
        """Hangs up from another thread: whoever waits for an answer here hears at once that there will be none."""
        try:
            with socket.socket(fileno=os.dup(self.raw.fileno())) as line:
                # It might have been closed in between, and the number be another's.
                if self.raw.fileno() >= 0:
                    line.shutdown(socket.SHUT_RDWR)
        except (psycopg.Error, OSError):
            # Nobody waits any more.
            return

    def close(self) -> None:
        """Ends the connection."""
        self.raw.close()


@cache
def _translated(statement: str) -> bytes:
    return statement.replace("%", "%%").replace("?", "%s").encode()


def _whole(parameter: Any) -> Any:
    """PostgreSQL keeps no zero byte in a text, which no app or model means to send."""
    if isinstance(parameter, list):
        return [_whole(each) for each in parameter]
    return (
        parameter.replace("\0", "\ufffd") if isinstance(parameter, str) and "\0" in parameter else parameter
    )
