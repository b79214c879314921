"""The embedded model for a moment, without a server around it."""

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import token_urlsafe
from tempfile import TemporaryFile
from typing import IO

from msgspec import json

from ..config import Home, ModelEntry
from ..models.embedded.keeper import READY, SCRIPT, explanation, needed
from ..models.embedded.local import CONTEXT_LENGTH
from .finding import Unreachable

# The script writes to a descriptor of a fixed number.
_RUN = """
import os, runpy, sys
os.dup2(int(sys.argv[1]), int(sys.argv[2]))
runpy.run_path(sys.argv[3], run_name="__main__")
"""


@contextmanager
def serving(home: Home, entry: ModelEntry, patience: float) -> Iterator[tuple[str, str]]:
    """Gives the address and the key of the model, which runs meanwhile. Raises `Unreachable`."""
    key = token_urlsafe(32)
    settings = {
        "path": str(home.weights_file(entry.model_id)),
        "context": entry.context_length or CONTEXT_LENGTH,
        "parallel": 1,
        "threads": entry.threads,
        "embedding": entry.embedding,
        "mean": True,
        "key": key,
    }
    told, teller = os.pipe()
    with os.fdopen(told, "rb") as ready, TemporaryFile() as words:
        command = [sys.executable, "-P", "-c", _RUN, str(teller), str(READY), os.fspath(SCRIPT)]
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=words,
            stderr=words,
            pass_fds=(teller,),
            env=needed(os.environ),
        )
        os.close(teller)
        try:
            yield _url(child, json.encode(settings) + b"\n", ready, words, patience), key
        finally:
            child.kill()
            child.wait()
            with suppress(BrokenPipeError):
                child.stdin and child.stdin.close()


def _url(
    child: "subprocess.Popen[bytes]", settings: bytes, ready: IO[bytes], words: IO[bytes], patience: float
) -> str:
    """Where it answers, once it does."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.write(settings)
        child.stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(ready, selectors.EVENT_READ)
        if not selector.select(patience):
            raise Unreachable(f"it is still being loaded after {patience:g} seconds (first_token_timeout)")
    if line := ready.readline():
        return str(json.decode(line)["url"])
    child.wait()
    words.seek(0)
    why = explanation(words.read()[-4096:].decode("utf-8", "replace").strip())
    raise Unreachable(f"it cannot be loaded: {why or 'no explanation'}")
