"""The page of the operator's watch, in Prometheus' text format; its library is loaded when somebody first asks."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET

from ..sockets.eager import waiting
from .site import FrontSite, Intake

_log = Logger()


class Family(Struct, frozen=True, kw_only=True):
    """One metric: `samples` are each a name, which may have a suffix, labels, and a value."""

    name: str
    about: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


def families(site: FrontSite) -> list[Family]:
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


def page(request: Intake) -> int:
    """Answers GET /metrics."""
    Deferred.fromCoroutine(_answer(request)).addErrback(
        lambda failure: _log.failure("the metrics cannot be shown", failure)
    )
    return NOT_DONE_YET


async def _answer(request: Intake) -> None:
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    site = request.channel.site
    text = text_of(families(site)) if site.exposition is None else await site.exposition()
    if request.channel is not None:
        body = text.encode()
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

    def __init__(self, site: FrontSite) -> None:
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
