"""What the operator may watch: plain counters that cost an addition a segment, and the page that shows them.

The page is in Prometheus' text format; its library is loaded when somebody first asks for it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET

from ..seams.errors import ModelError
from ..sockets.eager import waiting

if TYPE_CHECKING:
    from .site import FrontSite, Intake

_log = Logger()

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


class TurnMeter:
    """Entered while one turn is under way; a generator would weigh more than all that is counted."""

    __slots__ = ("_began", "_meters")

    def __init__(self, meters: "Meters", began: float) -> None:
        self._meters = meters
        self._began = began

    def __enter__(self) -> None:
        self._meters.live += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._meters.failed(error)
        self._meters.ended(self._began)


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

    def turn(self) -> "TurnMeter":
        """Counts a turn, from its request to its last byte, as long as this is entered."""
        return TurnMeter(self, self._clock.seconds())

    def ended(self, began: float) -> None:
        """A turn is over."""
        self.live -= 1
        self.turns.observe(self._clock.seconds() - began)

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


class Family(Struct, frozen=True, kw_only=True):
    """One metric: `samples` are each a name, which may have a suffix, labels, and a value."""

    name: str
    about: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


def families(site: "FrontSite") -> list[Family]:
    """What a site and its process show now."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(site))
    ProcessCollector(registry=registry)
    return [
        Family(
            name=metric.name,
            about=metric.documentation,
            kind=metric.type,
            samples=[(sample.name, sample.labels, sample.value) for sample in metric.samples],
        )
        for metric in registry.collect()
    ]


def text_of(shown: Sequence[Family]) -> str:
    """The families in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Shown(shown))
    return generate_latest(registry).decode()


def page(request: "Intake") -> int:
    """Answers GET /metrics."""
    Deferred.fromCoroutine(_answer(request)).addErrback(
        lambda failure: _log.failure("the metrics cannot be shown", failure)
    )
    return NOT_DONE_YET


async def _answer(request: "Intake") -> None:
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    body = (await request.channel.site.exposition()).encode()
    if request.channel is not None:
        request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode("ascii"))
        request.setHeader(b"content-length", b"%d" % len(body))
        request.write(body)
        request.finish()


class _Shown:
    """Gives families to `prometheus_client`."""

    def __init__(self, shown: Sequence[Family]) -> None:
        self._shown = shown

    def collect(self) -> Iterable[Any]:
        from prometheus_client import Metric

        for family in self._shown:
            metric = Metric(family.name, family.about, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, labels, value)
            yield metric


class _Collector:
    """Shows the counters of a site to `prometheus_client`."""

    def __init__(self, site: "FrontSite") -> None:
        self._site = site

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        meters = self._site.meters
        unsent = sum(waiting(connection.transport) for connection in self._site.connections)
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        yield gauge("llamaproxy_connections", "Open connections.", len(self._site.connections))
        yield gauge("llamaproxy_live_turns", "Turns from request to last byte.", meters.live)
        yield gauge("llamaproxy_paused_streams", "Streams whose client does not keep up.", meters.paused)
        yield gauge("llamaproxy_waiting_bytes", "Bytes that no client has taken yet.", unsent)
        yield gauge(
            "llamaproxy_reactor_delay_seconds",
            "The latest timer since the last scrape.",
            meters.reactor_delay,
        )
        yield counter("llamaproxy_tokens", "Pieces of text sent to clients.", meters.tokens)
        yield counter("llamaproxy_pauses", "Times that a stream waited for its client.", meters.pauses)
        yield counter("llamaproxy_paused_seconds", "Time of streams in such pauses.", meters.paused_seconds)
        errors = counter("llamaproxy_model_errors", "Replies that a model failed.", labels=["code"])
        for code, count in meters.model_errors.items():
            errors.add_metric([code], count)
        yield errors
        for name, about, values in (
            ("first_token", "From a request to the first piece of its reply.", meters.first_token),
            ("turn", "From a request to the last byte of its reply.", meters.turns),
        ):
            yield HistogramMetricFamily(
                f"llamaproxy_{name}_seconds", about, list(values.buckets()), values.total
            )
        meters.reactor_delay = 0.0
