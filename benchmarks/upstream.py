"""The model server of the benchmarks: OpenAI's stream out of raw sockets and epoll, a process of its own.

It prints its port and serves until it is killed. A request's `model` says what comes back: `20x600` is 600 tokens
at 20 a second, the first one at once; a rate of 0 is as fast as the socket takes them, 0 tokens are no end.
`0x0x16000` is that in frames with 16,000 bytes of text. Of a hundred answers of `20x600f3` three fail: a 500, a closed
connection, or one that breaks off in the middle.

Each token is one SSE event in one HTTP chunk, as llama.cpp and uvicorn send them. Its text is a mark and the time
it was sent at (see `stamp`), so that whoever receives it, in whatever dialect, can tell what the way has cost.
"""

import heapq
import random
import re
import select
import socket
from functools import lru_cache
from itertools import count
from time import monotonic

MARK = b"@"
_DIGITS = 8
_WRAP = 10**_DIGITS

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_BEFORE = (
    b'data: {"id":"chatcmpl-Ckp1y6fcwxEEpfWb3AW1nRJ4","object":"chat.completion.chunk","created":1764000000,'
    b'"model":"bench","choices":[{"index":0,"delta":{"content":"'
)
_AFTER = b'"},"finish_reason":null}]}\n\n'
_LAST = (
    b'data: {"id":"chatcmpl-Ckp1y6fcwxEEpfWb3AW1nRJ4","object":"chat.completion.chunk","created":1764000000,'
    b'"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
_BLOCK = 256
_REFUSAL = b'{"error":{"message":"no luck","type":"server_error"}}'
_REFUSED = b"HTTP/1.1 500 Oh\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_REFUSAL),
    _REFUSAL,
)


def stamp(now: float) -> bytes:
    """The text of a token sent `now`: a mark, and microseconds that start again every 100 s."""
    return MARK + b"%08d" % (int(now * 1e6) % _WRAP)


def delays(data: bytes, now: float) -> list[float]:
    """Seconds on the way of the tokens in `data`, received `now`; one whose stamp is cut in two is left out."""
    microseconds = int(now * 1e6)
    return [
        (microseconds - int(piece[:_DIGITS])) % _WRAP / 1e6
        for piece in data.split(MARK)[1:]
        if len(piece) >= _DIGITS
    ]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _token(now: float, size: int = 0) -> bytes:
    return _chunk(_BEFORE + stamp(now).ljust(size, b"x") + _AFTER)


@lru_cache
def _block(size: int) -> bytes:
    """Some frames of that size, to be sent again and again."""
    return _token(0.0, size) * max(1, _BLOCK * 200 // max(200, size))


_END = _chunk(_LAST) + b"0\r\n\r\n"


class _Stream:
    """One connection and the reply that runs on it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = b""
        self.unsent = b""
        self.rate = self.left = self.size = 0
        self.breaks = False


class _Upstream:
    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._streams: dict[int, _Stream] = {}
        # When the next token of a paced stream is due; the number keeps the heap from comparing streams.
        self._due: list[tuple[float, int, _Stream]] = []
        self._order = count()
        self._random = random.Random(0)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - monotonic()) if self._due else -1
            for fd, event in self._epoll.poll(wait):
                if fd == self._listener.fileno():
                    self._accept()
                elif (stream := self._streams.get(fd)) is not None:
                    try:
                        self._serve(stream, event)
                    except OSError:
                        self._close(stream)
            self._send_due()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._streams[connection.fileno()] = _Stream(connection)
            self._epoll.register(connection, select.EPOLLIN)

    def _close(self, stream: _Stream) -> None:
        self._streams.pop(stream.socket.fileno(), None)
        stream.socket.close()

    def _serve(self, stream: _Stream, event: int) -> None:
        if event & select.EPOLLOUT:
            self._write(stream, b"")
        if event & ~select.EPOLLOUT:
            data = stream.socket.recv(65536)
            if not data:
                self._close(stream)
                return
            stream.received += data
            self._read(stream)

    def _read(self, stream: _Stream) -> None:
        head, found, body = stream.received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not found or length is None or len(body) < int(length[1]):
            return
        stream.received = b""
        asked = re.search(rb'"model": ?"(?:openai/)?(\d+)x(\d+)(?:x(\d+))?(?:f(\d+))?"', body)
        assert asked is not None, body
        stream.rate, stream.left = int(asked[1]), int(asked[2]) or -1
        stream.size = int(asked[3] or 0)
        stream.breaks = self._random.randrange(100) < int(asked[4] or 0)
        if stream.breaks:
            match self._random.randrange(3):
                case 0:
                    self._write(stream, _REFUSED)
                    return
                case 1:
                    self._close(stream)
                    return
                case _:
                    stream.left = max(1, stream.left // 2)
        if not stream.rate:
            self._write(stream, _HEAD)
            return
        now = monotonic()
        self._send_token(stream, now, _HEAD)
        # The streams of clients that came together must not beat in time.
        self._schedule(stream, now + self._random.random() / stream.rate)

    def _send_due(self) -> None:
        now = monotonic()
        while self._due and self._due[0][0] <= now:
            due, _, stream = heapq.heappop(self._due)
            if stream.socket.fileno() < 0:
                continue
            try:
                self._send_token(stream, monotonic())
            except OSError:
                self._close(stream)
            else:
                self._schedule(stream, due + 1 / stream.rate)

    def _schedule(self, stream: _Stream, due: float) -> None:
        if stream.left:
            heapq.heappush(self._due, (due, next(self._order), stream))

    def _send_token(self, stream: _Stream, now: float, before: bytes = b"") -> None:
        stream.left -= 1
        over = not stream.left
        self._write(stream, before + _token(now) + (_END if over and not stream.breaks else b""))
        if over and stream.breaks:
            self._close(stream)

    def _write(self, stream: _Stream, data: bytes) -> None:
        """Sends what the socket takes, and for a stream without pace goes on until it takes no more."""
        was_blocked = bool(stream.unsent)
        stream.unsent += data
        while True:
            if not stream.unsent:
                stream.unsent = self._next_block(stream)
                if not stream.unsent:
                    break
            try:
                sent = stream.socket.send(stream.unsent)
            except BlockingIOError:
                break
            stream.unsent = stream.unsent[sent:]
        if bool(stream.unsent) != was_blocked:
            writing = select.EPOLLOUT if stream.unsent else 0
            self._epoll.modify(stream.socket, select.EPOLLIN | writing)

    def _next_block(self, stream: _Stream) -> bytes:
        if stream.rate or not stream.left:
            return b""
        if stream.left < 0:
            return _block(stream.size)
        tokens = min(stream.left, _BLOCK)
        stream.left -= tokens
        return _token(0.0) * tokens + (b"" if stream.left else _END)


if __name__ == "__main__":
    upstream = _Upstream()
    print(upstream.port, flush=True)
    upstream.run()
