"""The child process of a `LOCAL` model: llama.cpp behind HTTP on a loopback port, as long as its parent lives.

A script that `keeper` runs; it imports nothing of ours. Standard input brings one JSON line, `{"path", "context",
"parallel", "threads", "embedding", "mean", "key"}`, and stays open: its end means that the parent is gone. File
descriptor 3 gets one JSON line, `{"url"}`, once the model answers there to whoever shows the key.
"""

import ctypes
import json
import os
import signal
import sys
from threading import Event, Thread
from typing import Any

READY = 3

# Linux, sys/prctl.h
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Loads the model and serves it until the parent ends it, or ends."""
    # Ctrl-C and a closed terminal reach the whole group, and systemd's SIGTERM every process of the service; but
    # replies may still finish then, and the parent decides when we go.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    _die_with_parent()
    settings = json.loads(sys.stdin.readline())
    Thread(target=_exit_at_end_of_input, daemon=True).start()
    try:
        server = _serve(settings)
    except RuntimeError as error:
        sys.exit(str(error))  # llama.cpp has written the reason above
    os.write(READY, json.dumps({"url": f"{server.listening_address}/v1"}).encode() + b"\n")
    Event().wait()


def _serve(settings: dict[str, Any]) -> Any:
    # Threads that spin while they wait for one that lost its core slow a busy machine down tenfold. The library
    # reads this when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.n_parallel = settings["parallel"]
    params.n_ctx = settings["context"] * settings["parallel"]
    if settings["threads"]:
        params.cpuparams.n_threads = settings["threads"]
    if settings["embedding"]:
        params.embedding = True
        # A text must fit one batch, as its vector is made of all of its tokens at once.
        params.n_batch = params.n_ubatch = settings["context"]
        if settings["mean"]:
            params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.use_jinja = True
    params.ui = False
    params.offline = True
    params.ctx_shift = False  # a prompt that is too long is refused, not cut behind the agent's back
    params.cache_ram_mib = 64  # of prompts that lost their slot; llama.cpp's own default is 8 GiB
    params.verbosity = 2  # warnings and errors
    return xllamacpp.Server(params)


def _exit_at_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _die_with_parent() -> None:
    """Has the kernel kill us with the parent where it can: loading holds the lock that our thread would need."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
