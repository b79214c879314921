"""Spans of a real server, at a real collector."""

from msgspec import json

from tests.telemetry.collector import Collector, values

from .case import AcceptanceCase
from .phone import OPENAI, Phone

CAUSE = "0af7651916cd43dd8448eb211c80319c"


class SpanTests(AcceptanceCase):
    def ask_with(self, phone: Phone, *headers: str) -> None:
        phone.request("POST", OPENAI.path, json.encode(OPENAI.body("hello", True)), *headers)

    async def test_a_turns_trace_goes_from_the_apps_request_to_the_models(self) -> None:
        collector = Collector()
        endpoint = await collector.listen()
        self.addCleanup(collector.stop)
        (self.home.path / ".env").write_text(f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}\n")
        await self.serve()
        phone = await self.dial()
        self.ask_with(phone, f"traceparent: 00-{CAUSE}-b7ad6b7169203331-01")
        call = await self.upstream.call()
        _, trace, span, flags = (call.headers.getRawHeaders(b"traceparent") or [b""])[0].decode().split("-")
        self.assertEqual((trace, flags), (CAUSE, "01"))
        call.answer("hi")
        await phone.closed()
        resource, spans = await collector.came.get()
        self.assertEqual(resource["service.name"], "llamaproxy")
        told = {each.name: each for each in spans}
        turn, chat = told["invoke_agent llamaproxy"], told["chat scripted"]
        self.assertEqual((turn.trace_id.hex(), turn.parent_span_id.hex()), (CAUSE, "b7ad6b7169203331"))
        self.assertEqual((chat.span_id.hex(), chat.parent_span_id), (span, turn.span_id))
        self.assertEqual(values(turn.attributes)["llamaproxy.end"], "done")

    async def test_without_a_collector_a_cause_is_passed_on_as_it_came(self) -> None:
        await self.serve()
        phone = await self.dial()
        cause = f"00-{CAUSE}-b7ad6b7169203331-01"
        self.ask_with(phone, f"traceparent: {cause}", "tracestate: a=1")
        call = await self.upstream.call()
        self.assertEqual(call.headers.getRawHeaders("traceparent"), [cause])
        self.assertEqual(call.headers.getRawHeaders("tracestate"), ["a=1"])
        call.answer("hi")
        await phone.closed()
