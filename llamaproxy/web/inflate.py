"""Request bodies that come compressed: inflated as they arrive, and never past a limit.

The library for zstd is loaded with the first body that needs it.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Protocol

from ..seams.errors import AgentError, BadRequest

# What RFC 9659 lets a zstd encoder for HTTP use at most: 8 MiB.
ZSTD_WINDOW_LOG = 23


class UnsupportedEncoding(AgentError):
    """The body is compressed in a way that is not read here."""

    status, code = 415, "unsupported_encoding"


class _Engine(Protocol):
    """What the decompressors of zlib and zstd have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _deflate(first: bytes) -> _Engine:
    # HTTP's "deflate" is zlib's format (RFC 9110, 8.4.1.2), but some clients send the bare stream.
    is_zlib = first[0] & 0x0F == zlib.DEFLATED
    return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def _gzip(_: bytes) -> _Engine:
    return zlib.decompressobj(zlib.MAX_WBITS + 16)


class _Zstd:
    """zstd's own, with its error as `ValueError`."""

    def __init__(self, _: bytes) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self._broken = zstd.ZstdError
        self._engine = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
        )

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        try:
            return self._engine.decompress(data, max_length)
        except self._broken as error:
            raise ValueError(str(error)) from None


_ENGINES: dict[str, Callable[[bytes], _Engine]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _Zstd,
}


class Inflater:
    """Inflates one body. Raises `UnsupportedEncoding` for a `coding` that is not gzip, deflate or zstd."""

    def __init__(self, coding: str) -> None:
        if coding not in _ENGINES:
            raise UnsupportedEncoding(
                f"A body in the encoding '{coding}' is not read here; send gzip, deflate or zstd, or none."
            )
        self._coding = coding
        self._engine: _Engine | None = None

    def feed(self, data: bytes, limit: int) -> bytes:
        """Inflates the next piece (not empty). Of what comes out, at most `limit` + 1 bytes are made.

        Raises `BadRequest` for data that is broken.
        """
        if self._engine is None:
            self._engine = _ENGINES[self._coding](data)
        try:
            return self._engine.decompress(data, limit + 1)
        except (zlib.error, ValueError, EOFError):
            raise BadRequest(f"The body is not the {self._coding} that its headers promise.") from None

    def end(self) -> None:
        """Checks that the body is complete; raises `BadRequest`."""
        if self._engine is not None and (not self._engine.eof or self._engine.unused_data):
            raise BadRequest(f"The body's {self._coding} ends too early, or something follows it.")


def inflater(content_encoding: bytes) -> Inflater | None:
    """The inflater for a `Content-Encoding` header, None for a body that is as it is."""
    coding = content_encoding.decode("latin-1").strip().lower()
    return None if coding in ("", "identity") else Inflater(coding)
