"""From the record of a turn to its spans, by OpenTelemetry's conventions for generative AI.

The turn is a span of the agent, and what it asked of models and had done by tools are its children. None of their words
are in them, unless the operator wants them for that session.
"""

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from msgspec import json
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from .. import __version__
from ..config.schema import ModelEntry
from ..seams.records import Attempt, Record, ToolUse
from ..seams.spans import Span

AGENT = "llamaproxy"
SCOPE = InstrumentationScope("llamaproxy", __version__)

# What the conventions call who serves a model: by its host, else by the type of the entry.
_HOSTS = {
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
}
_TYPES = {"LOCAL": "llama.cpp", "AGENT": AGENT}
_AGENTS = ("AGENT", "PYTHON")
_PORTS = {"http": 80, "https": 443}

_NANOSECONDS = 1_000_000_000
# How a turn ends that did not fail, and yet not as it should.
_UNTIMELY = ("left", "stopped", "cut")
_FAILED_TOOL = ("failed", "late")

Value = str | bool | int | float | list[str]
Entries = Callable[[], Mapping[str, ModelEntry]]


class Maker:
    """Makes spans; `entries` are those of the models by key, as they are at the moment."""

    def __init__(self, resource: Resource, entries: Entries) -> None:
        self._resource = resource
        self._entries = entries

    def spans(self, record: Record) -> Iterator[ReadableSpan]:
        """Those of a turn that is over; none if it has no span or is not sampled."""
        if record.span is None or not record.span.sampled:
            return
        for attempt in record.attempts:
            if attempt.span is not None and attempt.seconds is not None:
                yield self._attempt(record, attempt, attempt.span)
        for tool in record.tools:
            if tool.span is not None:
                yield self._tool(record, tool, tool.span)
        yield self._turn(record, record.span)

    def _turn(self, record: Record, span: Span) -> ReadableSpan:
        values: dict[str, Value] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": AGENT,
            "gen_ai.agent.name": AGENT,
            "gen_ai.agent.version": __version__,
            "gen_ai.conversation.id": record.session_id,
            "gen_ai.request.stream": record.streamed,
            "url.path": record.dialect,
            "client.address": record.address,
            "user_agent.original": record.client,
            "llamaproxy.request_id": record.request_id,
            "llamaproxy.caller": record.caller,
            "llamaproxy.named_by": record.named_by,
            "llamaproxy.end": record.end,
            "llamaproxy.queued": record.queued,
            "llamaproxy.paused": record.paused,
            "llamaproxy.pauses": record.pauses,
            "llamaproxy.heartbeats": record.heartbeats,
            "llamaproxy.commands": record.commands,
            "llamaproxy.errands": record.errands,
            "llamaproxy.errand": record.errand,
        }
        if record.alone:
            values["llamaproxy.alone"] = True
        if record.attempts:
            values["gen_ai.request.model"] = self._asked(record.model)[1]
            values["gen_ai.usage.input_tokens"] = record.prompt_tokens
            values["gen_ai.usage.output_tokens"] = record.completion_tokens
        if record.first is not None:
            values["gen_ai.response.time_to_first_chunk"] = record.first
        if record.joined:
            values["llamaproxy.joined"] = record.joined
        if record.keeps_words:
            values["gen_ai.input.messages"] = _message("user", record.asked)
            values["gen_ai.output.messages"] = _message("assistant", record.answered, record.end)
        done = [each.span for each in record.attempts] + [each.span for each in record.tools]
        elsewhere = {each.trace_id: each for each in done if each and each.trace_id != span.trace_id}
        # The work of a turn that another request began belongs to that one's trace.
        links = [Link(_context(each)) for each in elsewhere.values()]
        error = _code(record.reason) if record.end == "failed" else ""
        return self._made(
            record,
            f"invoke_agent {AGENT}",
            span,
            SpanKind.INTERNAL if record.alone else SpanKind.SERVER,
            0.0,
            record.seconds,
            values,
            error,
            record.reason,
            links,
        )

    def _attempt(self, record: Record, attempt: Attempt, span: Span) -> ReadableSpan:
        entry, model = self._asked(attempt.model)
        operation = "invoke_agent" if entry and entry.type in _AGENTS else "chat"
        values: dict[str, Value] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _provider(entry),
            "gen_ai.request.model": model,
            "gen_ai.conversation.id": record.session_id,
            "gen_ai.usage.input_tokens": attempt.prompt_tokens,
            "gen_ai.usage.output_tokens": attempt.completion_tokens,
            "llamaproxy.model": attempt.model,
            "llamaproxy.messages": attempt.messages,
            "llamaproxy.left_out": attempt.left_out,
            "llamaproxy.tools": attempt.tools,
            "llamaproxy.counted": attempt.counted,
            **_address(entry),
        }
        if operation == "invoke_agent":
            values["gen_ai.agent.name"] = attempt.model
        if attempt.first is not None:
            values["gen_ai.response.time_to_first_chunk"] = attempt.first
        return self._made(
            record,
            f"{operation} {model}",
            span,
            SpanKind.CLIENT,
            attempt.at,
            attempt.seconds or 0.0,
            values,
            _code(attempt.error),
            attempt.error,
        )

    def _tool(self, record: Record, tool: ToolUse, span: Span) -> ReadableSpan:
        values: dict[str, Value] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.name,
            "gen_ai.tool.type": "function",
            "gen_ai.conversation.id": record.session_id,
            "llamaproxy.verdict": tool.verdict,
        }
        error = tool.verdict if tool.verdict in _FAILED_TOOL else ""
        return self._made(
            record, f"execute_tool {tool.name}", span, SpanKind.INTERNAL, tool.at, tool.seconds, values, error
        )

    def _asked(self, key: str) -> tuple[ModelEntry | None, str]:
        """The entry, if it is still there, and what its server calls the model."""
        entry = self._entries().get(key)
        return entry, entry.model_id if entry else key

    def _made(
        self,
        record: Record,
        name: str,
        span: Span,
        kind: SpanKind,
        at: float,
        seconds: float,
        values: dict[str, Value],
        error: str,
        reason: str = "",
        links: list[Link] | None = None,
    ) -> ReadableSpan:
        """`at` is in seconds from the turn's beginning."""
        begin = int((record.began + at) * _NANOSECONDS)
        status = Status(StatusCode.UNSET)
        if error:
            values["error.type"] = error
            # The words of an error may be those of the question that it speaks of.
            status = Status(StatusCode.ERROR, reason if record.keeps_words else error)
        return ReadableSpan(
            name=name,
            context=_context(span),
            parent=_parent(span),
            resource=self._resource,
            attributes={key: value for key, value in values.items() if value not in ("", [])},
            links=links or (),
            kind=kind,
            status=status,
            start_time=begin,
            end_time=begin + max(0, int(seconds * _NANOSECONDS)),
            instrumentation_scope=SCOPE,
        )


def _context(span: Span, span_id: str = "") -> SpanContext:
    return SpanContext(
        trace_id=int(span.trace_id, 16),
        span_id=int(span_id or span.span_id, 16),
        is_remote=bool(span_id),
        trace_flags=TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([span.state] if span.state else []),
    )


def _parent(span: Span) -> SpanContext | None:
    return _context(span, span.parent_id) if span.parent_id else None


def _code(error: str) -> str:
    """The first word of `code: words`, which is the same for all errors of a kind."""
    return error.partition(":")[0] if error else ""


def _provider(entry: ModelEntry | None) -> str:
    if entry is None:
        return "_OTHER"
    host = urlsplit(entry.host).hostname or ""
    return _HOSTS.get(host) or _TYPES.get(entry.type) or entry.type.lower()


def _address(entry: ModelEntry | None) -> dict[str, Value]:
    parts = urlsplit(entry.host if entry else "")
    if not parts.hostname:
        return {}
    return {"server.address": parts.hostname, "server.port": parts.port or _PORTS.get(parts.scheme, 0)}


def _message(role: str, text: str, end: str = "") -> str:
    """One message, as the conventions write them."""
    finish = {"finish_reason": "error" if end == "failed" else "stop"} if end else {}
    return json.encode([{"role": role, "parts": [{"type": "text", "content": text}], **finish}]).decode()
