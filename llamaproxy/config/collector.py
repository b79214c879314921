"""Whether anybody wants spans, by the variables that all programs with OpenTelemetry obey."""

from collections.abc import Mapping
from importlib.util import find_spec

# One for all signals, and one for spans alone.
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"


def wants_spans(environ: Mapping[str, str]) -> bool:
    """Whether a collector is named, and spans are not turned off."""
    if (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER") == "none"
    ):
        return False
    return any(environ.get(name, "").strip() for name in ENDPOINTS)


def hindrance(environ: Mapping[str, str]) -> str | None:
    """What stands in the way of spans that are wanted, in words; None for nothing."""
    if not wants_spans(environ):
        return None
    protocol = next(filter(None, map(environ.get, _PROTOCOLS)), SPOKEN)
    if protocol != SPOKEN:
        return (
            f"no spans are sent: OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and only {SPOKEN} is spoken here"
        )
    try:
        missing = find_spec("opentelemetry.exporter.otlp.proto.http") is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        return (
            "no spans are sent: OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed; "
            "run: pip install 'llamaproxy[otel]'"
        )
    return None
