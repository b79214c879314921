"""What the machine is, and what a process has cost so far: processor time, memory, and the kernel's socket buffers."""

import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """The machine's line for the top of a table."""
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), "")
    busy = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({model or platform.machine()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, Twisted {version('twisted')}; load before the run {busy:.1f}"
    )


def open_many_files() -> None:
    """Lifts this process's limit of open files, and that of the processes it starts, as far as it may go."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds(pid: int) -> float:
    """Processor time, user and system, that a process and its living descendants have used."""
    return sum(_cpu_ticks(each) for each in _family(pid)) / _TICKS


def memory(pid: int) -> int:
    """Bytes of memory of a process and its descendants; what they share is counted once."""
    return sum(_smaps(each, "Pss") for each in _family(pid))


def socket_memory(server_port: int, upstream_port: int) -> int:
    """Bytes that the kernel holds in the buffers of a server's connections: its clients' and those to the upstream."""
    ends = f"( sport = :{server_port} or dport = :{upstream_port} )"
    listed = subprocess.run(["ss", "-tnmH", ends], capture_output=True, text=True, check=True).stdout
    # Receive queue, send queue and what is allocated ahead, each with the kernel's own overhead.
    return sum(int(size) for size in re.findall(r"[(,][rwf](\d+)", listed))


def own_cpu() -> float:
    """Processor time of this process, in seconds."""
    times = os.times()
    return times.user + times.system


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _cpu_ticks(pid: int) -> int:
    # The command's name, in parentheses, may hold blanks; utime and stime are the 12th and 13th field after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _smaps(pid: int, field: str) -> int:
    lines = _lines(f"/proc/{pid}/smaps_rollup")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


if not sys.platform.startswith("linux"):
    raise SystemExit("The benchmarks read /proc and use epoll: they run on Linux.")
