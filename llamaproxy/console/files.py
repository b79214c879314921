"""The files of the pages: read once, sent with headers that let nothing else in."""

from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePosixPath

from msgspec import Struct

from ..web.site import Intake

TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".png": b"image/png",
    ".webmanifest": b"application/manifest+json",
}
# Scripts, styles, pictures and data come from here alone; no page may put ours into a frame.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    b"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'"
)
HEADERS = {
    b"content-security-policy": POLICY,
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"geolocation=(), microphone=(), payment=(), usb=()",
}


class File(Struct, frozen=True):
    """One file: its bytes, their type, and a tag that changes with them."""

    data: bytes
    kind: bytes
    tag: bytes


@cache
def load(name: str) -> File:
    """The file of that name in `static/`."""
    data = (files(__package__) / "static" / name).read_bytes()
    return File(data, TYPES[PurePosixPath(name).suffix], b'"%b"' % sha256(data).hexdigest()[:16].encode())


def protect(request: Intake) -> None:
    """Sets the headers that every answer of the pages has; other origins are told nothing."""
    request.responseHeaders.removeHeader(b"access-control-allow-origin")
    for name, value in HEADERS.items():
        request.setHeader(name, value)


def send(request: Intake, name: str) -> bytes:
    """Answers with a file, or says that the browser has it."""
    file = load(name)
    request.setHeader(b"content-type", file.kind)
    request.setHeader(b"cache-control", b"no-cache")
    if request.setETag(file.tag):
        return b""
    request.setHeader(b"content-length", b"%d" % len(file.data))
    return file.data
