"""What tests ask of the machine that they run on: its processes, a free port, the embedded model's weights."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest

reactor: Any = installed_reactor

HOME = Path(os.environ.get("LLAMAPROXY_HOME", Path.home() / ".llamaproxy"))
WEIGHTS = Path(os.environ.get("LLAMAPROXY_TEST_WEIGHTS", HOME / "models" / "smollm2.gguf")).absolute()
# For `skip` of tests that need the weights.
NO_WEIGHTS = (
    None
    if WEIGHTS.exists()
    else f"no weights at {WEIGHTS}; run: agentctl model-pull smollm2, or set LLAMAPROXY_TEST_WEIGHTS"
)

# Seconds between two looks at what sends no event.
POLL = 0.02


async def until(condition: Callable[[], bool]) -> None:
    """Returns once `condition()` holds; the test's own timeout bounds it."""
    while not condition():
        await deferLater(reactor, POLL)


async def settled(reading: Callable[[], int]) -> int:
    """The value at which a reading has stood still for 25 looks in a row."""
    last, still = reading(), 0
    while still < 25:
        await deferLater(reactor, POLL)
        value = reading()
        last, still = value, still + 1 if value == last else 0
    return last


def free_port(host: str) -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def memory(pid: int) -> int:
    """The resident memory of a process, in bytes."""
    status = _proc(pid, "status").splitlines()
    (line,) = [line for line in status if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in _proc(pid, f"task/{pid}/children").split()]


def command_of(pid: int) -> str:
    """How a process was called; "" for one that only waits to be waited for."""
    return _proc(pid, "cmdline").replace("\0", " ")


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be waited for does not."""
    try:
        return _proc(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _proc(pid: int, name: str) -> str:
    if not Path("/proc/self/task").exists():
        raise SkipTest("this needs Linux's /proc")
    return Path(f"/proc/{pid}/{name}").read_text()
