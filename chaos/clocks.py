"""A server whose time of day is set again and again while people talk: `python -m chaos.clocks`.

libfaketime (Debian: libfaketime) stands between the server and the kernel and adds what a file says to the time of day;
the monotonic clock goes on. Whatever the time of day does, every turn must be answered, and be in the store once.
"""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater, react

from tests.acceptance.program import TWISTD, Program, ServerHome

from .kills import Town
from .program import finish, flags, progress

reactor: Any = installed_reactor

MINUTE, DAY = 60, 86_400
# Seconds by which the time of day is off from then on.
STEPS = (120 * MINUTE, -120 * MINUTE, 5, -30 * DAY, 3650 * DAY, 0, -5, DAY)
# Seconds that an answer takes at most, so that most steps find turns under way.
SLOWEST = 1.0


class Missing(Exception):
    """libfaketime is not installed."""


def faketime() -> str:
    """The library. Raises `Missing`."""
    for folder in Path("/usr/lib").glob("*/faketime"):
        if (library := folder / "libfaketimeMT.so.1").exists():
            return str(library)
    raise Missing("libfaketime is not installed (Debian: apt-get install libfaketime)")


class WindingHome(ServerHome):
    """A home whose servers believe the time of day that `wind` says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._library = faketime()
        self._file = self.path / "time-of-day"
        self.wind(0)

    def wind(self, seconds: int) -> None:
        """Sets the time of day, so much beside the right one; at once, as a half-written file would be none."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)

    def launch(self, *flags: str) -> Program:
        """See `ServerHome`."""
        environment = {
            **os.environ,
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        arguments = [*TWISTD, "-n", "--pidfile=", *self.arguments(*flags)]
        return Program(arguments, self.path, environment)


async def play(
    steps: int, people: int, seed: int, watch: Callable[[int], None]
) -> tuple[Counter[str], list[str]]:
    """Plays that many steps of the clock; the counts, and what went wrong."""
    random = Random(seed)
    town = Town(people, random, faults=0.0, slowest=SLOWEST)
    home = town.home = WindingHome(Path(tempfile.mkdtemp(prefix="clocks-")))
    server = await town.open()
    talking = [Deferred.fromCoroutine(town.talk(address)) for address in town.confirmed]
    for done in range(steps):
        home.wind(STEPS[done % len(STEPS)])
        town.counts["steps of the clock"] += 1
        await deferLater(reactor, random.random() / 2)
        # Each time of day is seen by somebody.
        answered = town.counts["turns answered"]
        while town.counts["turns answered"] == answered:
            await deferLater(reactor, 0.05)
        watch(done + 1)
    town.talking = False
    await gatherResults(talking)
    server.signal(signal.SIGTERM)
    await server.ended()
    await town.upstream.stop()
    # That it did believe the steps.
    days = {line[:10] for line in server.output.splitlines() if line[:2] == b"20"}
    town.counts["days in its log"] = len(days)
    wrong = town.missing()
    if broken := town.counts["turns broken off"]:
        wrong.append(f"{broken} turns were broken off")
    return town.counts, wrong


async def main(_: Any) -> None:
    """Plays, and prints the counts."""
    options = flags("chaos.clocks", __doc__, steps=200, people=20, seed=1).parse_args()
    try:
        faketime()
    except Missing as missing:
        print(f"the clock is left alone: {missing}")
        return
    counts, wrong = await play(options.steps, options.people, options.seed, progress)
    steps = f"{options.steps} steps of the clock, seed {options.seed}"
    finish(f"{steps}: {len(wrong)} things went wrong", counts, wrong)


if __name__ == "__main__":
    react(main)
