"""What the operator may watch: plain counters, each an addition a segment; `metrics` has the page of them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from ..seams.errors import ModelError

FIRST_TOKEN_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
TURN_BOUNDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
# Seconds between two looks at how late the reactor is.
DELAY_STEP = 1.0


class Distribution:
    """Counts of values, in seconds, up to each bound and beyond the last."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Adds one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Each bound with how many values were at most that."""
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            so_far += count
            yield bound, so_far


class Meters:
    """The counters of one front door; whoever does a thing counts it here."""

    def __init__(self, clock: IReactorTime) -> None:
        self.live = self.paused = self.tokens = 0
        self.pauses = 0
        self.paused_seconds = 0.0
        self.first_token = Distribution(FIRST_TOKEN_BOUNDS)
        self.turns = Distribution(TURN_BOUNDS)
        self.model_errors: Counter[str] = Counter()
        # The longest delay since the last time somebody looked.
        self.reactor_delay = 0.0
        self._clock = clock
        self._due: float | None = None
        self._timer: IDelayedCall | None = None

    def began(self) -> None:
        """The request of a turn is there."""
        self.live += 1

    def ended(self, seconds: float, error: BaseException | None) -> None:
        """The last byte of its reply has gone, or none will come; `seconds` is what it took."""
        self.live -= 1
        self.turns.observe(seconds)
        self.failed(error)

    def failed(self, error: BaseException | None) -> None:
        """A reply broke off, or did not come."""
        if isinstance(error, ModelError):
            self.model_errors[error.code] += 1

    def watch_reactor(self) -> None:
        """Begins to notice how late the reactor is with its timers, until `rest`."""
        now = self._clock.seconds()
        if self._due is not None:
            self.reactor_delay = max(self.reactor_delay, now - self._due)
        self._due = now + DELAY_STEP
        self._timer = self._clock.callLater(DELAY_STEP, self.watch_reactor)

    def rest(self) -> None:
        """Looks at the reactor no more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
