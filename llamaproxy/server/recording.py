"""Who keeps records of turns, and who is told of them."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from twisted.application.service import IService

from ..config import FrontDoor
from ..config.collector import hindrance, wants_spans
from ..config.schema import ModelEntry
from ..recorder.recorder import Recorder
from ..seams.unrecorded import Unrecorded
from .service import Part


class Recording(Struct, frozen=True):
    """The recorder, and the services that it needs."""

    recorder: Recorder | Unrecorded
    services: list[IService] = []


def recording(
    door: FrontDoor,
    environ: Mapping[str, str],
    entries: Callable[[], Mapping[str, ModelEntry]],
    reactor: Any,
) -> Recording:
    """What is there for the operator's settings. OpenTelemetry is loaded only where a collector is named; what keeps
    spans from being sent then is among the `advice` of the start.
    """
    if not door.recorder:
        return Recording(Unrecorded())
    if not wants_spans(environ) or hindrance(environ):
        return Recording(Recorder(door.turn_log))
    from ..telemetry.teller import teller

    telling = teller(environ, entries, reactor)
    recorder = Recorder(door.turn_log, span_of=telling.begin)
    recorder.listeners.append(telling.hear)
    return Recording(recorder, [Part(telling.start, telling.stop)])
