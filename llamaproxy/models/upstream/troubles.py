"""What goes wrong on the way to a model's server, in words for people: no numbers of the system, no addresses.

Nothing is quoted of what the server sent: it has seen the key, and may send it back.
"""

import errno
from typing import Any

from twisted.internet import error as net
from twisted.internet.error import ConnectError, ConnectionClosed

from .endings import ParseError, PotentialDataLoss, ResponseDone
from .refusals import first_line


class Trouble(ConnectionClosed):
    """Something that has words of its own. With `lasting`, another try would meet it again."""

    def __init__(self, words: str, lasting: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.lasting = lasting


_UNREACHABLE = "there is no way to its server in the network"
_KINDS: tuple[tuple[Any, str], ...] = (
    (net.ConnectionRefusedError, "nothing listens at its address"),
    ((net.DNSLookupError, net.UnknownHostError), "the name of its server is not known"),
    (net.NoRouteError, _UNREACHABLE),
    (net.TCPTimedOutError, "its server does not answer"),
    (net.TimeoutError, "no connection within {connect:g} seconds (connect_timeout)"),
    ((ResponseDone, PotentialDataLoss), "its stream ended without a last frame"),
    (ParseError, "its answer cannot be read: it does not begin as HTTP does"),
)
_NUMBERS = {
    errno.ECONNREFUSED: "nothing listens at its address",
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETUNREACH: _UNREACHABLE,
    errno.ENETDOWN: _UNREACHABLE,
    errno.EACCES: "this machine does not let connections out to it",
    errno.EPERM: "this machine does not let connections out to it",
    errno.EMFILE: "this machine has no connection left to make",
    errno.ENFILE: "this machine has no connection left to make",
    errno.EADDRNOTAVAIL: "this machine has no connection left to make",
    errno.ENOBUFS: "this machine has no connection left to make",
}


def in_words(cause: BaseException | None, connect: float = 0.0) -> str:
    """What `cause` means; `connect` are the seconds that connecting may take."""
    if isinstance(cause, Trouble):
        return cause.words
    for kinds, words in _KINDS:
        if isinstance(cause, kinds):
            return words.format(connect=connect)
    if isinstance(cause, ConnectError):
        return _NUMBERS.get(cause.osError or 0, "connecting to its server failed")
    if isinstance(cause, OSError):
        return _NUMBERS.get(cause.errno or 0, "the connection was lost")
    if isinstance(cause, ConnectionClosed):
        return "the connection was lost"
    return first_line(str(cause)).rstrip(".") or type(cause).__name__


def speaks_for_itself(cause: BaseException | None) -> bool:
    """Whether the words say all: the connection was there, and what came on it was wrong."""
    return isinstance(cause, Trouble | ParseError)


def is_lasting(cause: BaseException | None) -> bool:
    """Whether another try would meet the same."""
    return isinstance(cause, Trouble) and cause.lasting
