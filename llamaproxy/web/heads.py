"""The heads of requests, each taken apart once for all requests that begin alike.

An app says the same of itself with every message, and so does each phone of a crowd; what differs is the length of the
body. What is found in a head is remembered with it. Here is read only what leaves no doubt: whatever is odd in any way
goes through Twisted's parser, a line at a time, and gives the same there.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from twisted.web.http_headers import Headers

from ..dialects.detect import normalise, target_host, target_path

# How the paths of the server's own pages begin.
OWN = ("console", "chat", "pair")
# Bytes of the longest head that is read here, its most lines, and how many heads are remembered.
LONGEST = 2048
MOST_LINES = 64
# Bytes that one reading of a socket brings at most.
SEGMENT = 64 * 1024
REMEMBERED = 256

_FIRST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP/1\.1")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_VALUE = re.compile(rb"[\x00\r\n]")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*+([0-9]{1,12})[ \t]*+(?=\r\n)", re.IGNORECASE)
# What a body is read by, and what Twisted's parser goes by itself.
_FOR_THE_PARSER = (b"content-length", b"content-encoding", b"transfer-encoding", b"expect", b"cookie")

# All browsers call themselves so; what looks in by itself (monitors, crawlers) says that it is compatible.
_BROWSER = re.compile(rb"Mozilla/5\.0 \((?!compatible\b)")

T = TypeVar("T")


class Head:
    """What the head of a request says: its `method`, `target` and `version`, and its `headers`, which nobody changes.

    `path` is the plain path that the target means, see `detect.normalise`, and `origin` that of the page that asks,
    None if none does, or one of the server's own.
    """

    __slots__ = (
        "__weakref__",
        "_found",
        "_last",
        "headers",
        "is_page",
        "method",
        "origin",
        "path",
        "target",
        "version",
    )

    def __init__(self, method: bytes, target: bytes, version: bytes, headers: Headers) -> None:
        self.method, self.target, self.version, self.headers = method, target, version, headers
        self.path = normalise(target_path(target))
        self.is_page = is_page(self.path)
        # Some twenty places look for one of them.
        self._last = {name.lower(): values[-1] for name, values in headers.getAllRawHeaders()}
        origin, host = self.get(b"origin"), self.get(b"host") or b""
        self.origin = None if not origin or origin in (b"http://" + host, b"https://" + host) else origin
        self._found: dict[Callable[[Head], Any], Any] = {}

    def get(self, name: bytes) -> bytes | None:
        """The last value of a header; its name in lower case."""
        return self._last.get(name)

    def once(self, look: Callable[["Head"], T]) -> T:
        """What the function `look` finds in this head; it looks once."""
        try:
            found: T = self._found[look]
        except KeyError:
            found = self._found[look] = look(self)
        return found


def is_page(path: str) -> bool:
    """Whether a plain path is one of the server's own pages."""
    return path.startswith(("/console", "/chat", "/pair")) and path.split("/")[1] in OWN


def is_visit(head: Head) -> bool:
    """Whether a person's browser opens the address, and no program asks whether somebody is there."""
    if head.path != "/" or head.method != b"GET" or b"text/html" not in (head.get(b"accept") or b""):
        return False
    # Told only to servers that are trusted: by https, or on the browser's own machine.
    mode = head.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    upgrades = head.get(b"upgrade-insecure-requests")
    return upgrades == b"1" or _BROWSER.match(head.get(b"user-agent") or b"") is not None


def settle_host(target: bytes, headers: Headers) -> None:
    """Has the host of a target that is a whole URL count in place of the header, unless there are several of that."""
    host = target_host(target)
    if host is not None and len(headers.getRawHeaders(b"host", ())) < 2:
        headers.setRawHeaders(b"host", [host])


def whole(data: bytes) -> tuple[Head, bytes] | None:
    """The head and the body of a request, if `data` is just that, and there is nothing odd about it."""
    end = data.find(b"\r\n\r\n", 0, LONGEST) if len(data) <= SEGMENT else -1
    if end < 0:
        return None
    if length := _LENGTH.search(data, 0, end + 2):
        text, size = data[: length.start()] + data[length.end() : end], int(length[1])
    else:
        text, size = data[:end], 0
    if len(data) != end + 4 + size or (head := _read(text)) is None:
        return None
    return head, data[end + 4 :]


@lru_cache(maxsize=REMEMBERED)
def _read(text: bytes) -> Head | None:
    """The head of this text, from which the length of the body was taken out."""
    first, *lines = text.split(b"\r\n")
    request = _FIRST.fullmatch(first)
    if request is None or len(lines) > MOST_LINES:
        return None
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not (colon and _NAME.fullmatch(name)) or _NO_VALUE.search(value):
            return None
        headers.addRawHeader(name, value.strip(b" \t"))
    if any(map(headers.hasHeader, _FOR_THE_PARSER)):
        return None
    if headers.getRawHeaders(b"connection", [b"keep-alive"])[0].lower() != b"keep-alive":
        return None
    settle_host(request[2], headers)
    return Head(request[1], request[2], b"HTTP/1.1", headers)
