"""Sends the spans of turns to a collector, from a thread of its own; what the collector does harms no turn."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

from msgspec import json
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from .. import __version__
from ..seams.records import Record
from ..seams.spans import Span, first_span
from .spans import AGENT, Entries, Maker

# Turns that wait to be told; more are not told.
MOST_WAITING = 2000
# Turns that are told together, and seconds that the first of them waits for others.
AT_ONCE = 200
GATHERING = 1.0
# Seconds that the end of the server waits for the last ones.
PATIENCE = 3.0


class Teller:
    """Hears of turns in the reactor's thread, and tells a collector of them in its own."""

    log = Logger()

    def __init__(
        self, exporter: SpanExporter, entries: Entries, reactor: Any, gathering: float = GATHERING
    ) -> None:
        self._exporter = exporter
        self._maker = Maker(resource(), entries)
        self._sampler = TracerProvider(shutdown_on_exit=False).sampler
        self._reactor = reactor
        self._gathering = gathering
        # As bytes, since a record may still change when a later request takes its turn over.
        self._waiting: Queue[bytes | None] = Queue(MOST_WAITING)
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="spans", daemon=True)
        self._words = _LastWords()
        self._silent = False
        # Turns that were not told.
        self.lost = 0

    def begin(self, cause: Span | None) -> Span:
        """The span of a turn that begins. Without a cause that says so, OTEL_TRACES_SAMPLER decides about it."""
        if cause is not None:
            return cause.child()
        span = first_span()
        ruling = self._sampler.should_sample(
            None, int(span.trace_id, 16), f"invoke_agent {AGENT}", SpanKind.SERVER
        )
        return span if ruling.decision.is_sampled() else _unsampled(span)

    def hear(self, record: Record) -> None:
        """A turn is over."""
        if record.span is not None and record.span.sampled:
            try:
                self._waiting.put_nowait(json.encode(record))
            except Full:
                self.lost += 1

    def start(self) -> None:
        """Begins to tell."""
        sdk = logging.getLogger("opentelemetry")
        sdk.addHandler(self._words)
        sdk.propagate = False
        self._thread.start()

    def stop(self) -> Deferred[None]:
        """Tells what is left, unless that takes long."""
        self._stopping.set()
        with suppress(Full):
            self._waiting.put_nowait(None)
        return deferToThread(self._end)

    def _end(self) -> None:
        self._thread.join(PATIENCE)
        self._exporter.shutdown()
        logging.getLogger("opentelemetry").removeHandler(self._words)

    def _run(self) -> None:
        while not (self._stopping.is_set() and self._waiting.empty()):
            batch = list(self._batch())
            self._send([span for data in batch for span in self._maker.spans(json.decode(data, type=Record))])

    def _batch(self) -> Iterator[bytes]:
        """The next turn, and those that came with it. The server's end puts None behind the last one."""
        data = self._waiting.get()
        self._stopping.wait(self._gathering)
        with suppress(Empty):
            for left in reversed(range(AT_ONCE)):
                if data is None:
                    return
                yield data
                # What is taken out is told as well.
                if left:
                    data = self._waiting.get_nowait()

    def _send(self, spans: list[ReadableSpan]) -> None:
        if not spans:
            return
        self._words.text = ""
        try:
            taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception as error:  # whatever an exporter comes up with
            taken, self._words.text = False, str(error)
        if not taken:
            self.lost += len({span.context.trace_id for span in spans if span.context})
        if taken is self._silent:
            self._silent = not taken
            self._reactor.callFromThread(self._tell, taken, self._words.text)

    def _tell(self, taken: bool, why: str) -> None:
        if taken:
            self.log.info("spans are taken again; {count} turns were not told", count=self.lost)
        else:
            self.log.warn(
                "spans are not taken, and turns go on without them: {why}", why=why or "no reason given"
            )


class _LastWords(logging.Handler):
    """Keeps what OpenTelemetry said last, which it would print otherwise, every time."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps one line of it."""
        self.text = " ".join(record.getMessage().split())[:300]


def _unsampled(span: Span) -> Span:
    return Span(trace_id=span.trace_id, span_id=span.span_id, sampled=False)


def resource() -> Resource:
    """What the variables say of this program, and else its name."""
    found = Resource.create({SERVICE_VERSION: __version__})
    named = not str(found.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service")
    return found if named else found.merge(Resource({SERVICE_NAME: AGENT}))


def teller(environ: Mapping[str, str], entries: Entries, reactor: Any) -> Teller:
    """One that sends where the variables say, those of the home's `.env` as well.

    OpenTelemetry reads the process's own. Raises `ValueError` for what it cannot use.
    """
    for name, value in environ.items():
        if name.startswith("OTEL_"):
            os.environ.setdefault(name, value)
    return Teller(OTLPSpanExporter(), entries, reactor)
