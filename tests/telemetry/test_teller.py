from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Told
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from llamaproxy.config.schema import ModelEntry
from llamaproxy.seams.records import Attempt, Record, ToolUse
from llamaproxy.seams.spans import Span
from llamaproxy.telemetry.teller import AT_ONCE, MOST_WAITING, Teller
from tests.machine import until

from .collector import Collector, values

CAUSE = Span(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
ENTRIES = {
    "main": ModelEntry(type="OPENAI", model_id="gpt-x", host="https://api.mistral.ai/v1"),
    "other": ModelEntry(type="AGENT", model_id="default", host="http://10.0.0.2:8080"),
}


class TellerTests(TestCase):
    timeout = 30

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.collector = Collector()
        self.endpoint = await self.collector.listen()
        self.addCleanup(self.collector.stop)
        self.teller = self.made(f"{self.endpoint}/v1/traces")

    def made(self, endpoint: str) -> Teller:
        teller = Teller(OTLPSpanExporter(endpoint, timeout=1), lambda: ENTRIES, reactor, gathering=0.0)
        teller.start()
        self.addCleanup(teller.stop)
        return teller

    def turn(self, **fields: Any) -> Record:
        """A turn of two questions to models with a tool between."""
        record = Record(
            request_id="r1", session_id="llama-1", began=1000.0, seconds=9.0, end="done", dialect="/api/chat",
            streamed=True, client="Tester/1", first=1.5, span=self.teller.begin(CAUSE), **fields,
        )  # fmt: skip
        record.ask(
            Attempt(model="main", at=1.0, first=0.5, seconds=2.0, prompt_tokens=30, completion_tokens=7)
        )
        record.use(ToolUse(name="files", at=3.0, seconds=1.0))
        record.ask(Attempt(model="other", at=4.0, seconds=5.0, prompt_tokens=3, completion_tokens=1))
        return record

    async def told(self, record: Record) -> dict[str, Told]:
        """The spans that the collector gets, by name."""
        self.teller.hear(record)
        _, spans = await self.collector.came.get()
        return {span.name: span for span in spans}

    async def test_a_turn_is_a_span_with_models_and_tools_as_children(self) -> None:
        self.teller.hear(self.turn())
        resource, spans = await self.collector.came.get()
        self.assertEqual(resource["service.name"], "llamaproxy")
        told = {span.name: span for span in spans}
        self.assertEqual(
            sorted(told),
            ["chat gpt-x", "execute_tool files", "invoke_agent default", "invoke_agent llamaproxy"],
        )
        turn = told.pop("invoke_agent llamaproxy")
        self.assertEqual((turn.trace_id.hex(), turn.parent_span_id.hex()), (CAUSE.trace_id, CAUSE.span_id))
        self.assertEqual((turn.start_time_unix_nano, turn.end_time_unix_nano), (1000 * 10**9, 1009 * 10**9))
        for child in told.values():
            self.assertEqual((child.trace_id, child.parent_span_id), (turn.trace_id, turn.span_id))
        self.assertEqual(
            [(span.kind, span.start_time_unix_nano // 10**9) for span in told.values()],
            [(Told.SPAN_KIND_CLIENT, 1001), (Told.SPAN_KIND_CLIENT, 1004), (Told.SPAN_KIND_INTERNAL, 1003)],
        )

    async def test_attributes_have_the_names_of_the_conventions(self) -> None:
        told = {name: values(span.attributes) for name, span in (await self.told(self.turn())).items()}
        self.assertEqual(
            {key: value for key, value in told["chat gpt-x"].items() if key.startswith(("gen_ai", "server"))},
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "mistral_ai",
                "gen_ai.request.model": "gpt-x",
                "gen_ai.conversation.id": "llama-1",
                "gen_ai.usage.input_tokens": 30,
                "gen_ai.usage.output_tokens": 7,
                "gen_ai.response.time_to_first_chunk": 0.5,
                "server.address": "api.mistral.ai",
                "server.port": 443,
            },
        )
        self.assertEqual(told["invoke_agent default"]["gen_ai.agent.name"], "other")
        self.assertEqual(told["execute_tool files"]["gen_ai.tool.name"], "files")
        turn = told["invoke_agent llamaproxy"]
        self.assertEqual((turn["gen_ai.usage.input_tokens"], turn["gen_ai.usage.output_tokens"]), (33, 8))
        self.assertEqual(
            (turn["gen_ai.operation.name"], turn["gen_ai.agent.name"], turn["llamaproxy.request_id"]),
            ("invoke_agent", "llamaproxy", "r1"),
        )

    async def test_no_words_unless_the_operator_wants_them(self) -> None:
        for keeps in (False, True):
            record = self.turn(keeps_words=keeps)
            record.end, record.reason = "running", ""
            record.hear(asked="a secret question", answered="a secret answer")
            record.break_off("failed", "model_error: no idea about 'a secret question'")
            record.attempts[0].error = "model_error: no idea about 'a secret question'"
            told = await self.told(record)
            self.assertEqual(b"secret" in b"".join(s.SerializeToString() for s in told.values()), keeps)
            turn = told["invoke_agent llamaproxy"]
            self.assertEqual(turn.status.code, Status.STATUS_CODE_ERROR)
            self.assertEqual(values(turn.attributes)["error.type"], "model_error")
            if keeps:
                self.assertIn("a secret question", values(turn.attributes)["gen_ai.input.messages"])
                self.assertIn('"role":"assistant"', values(turn.attributes)["gen_ai.output.messages"])

    async def test_work_that_another_request_began_stays_in_its_trace_and_is_linked(self) -> None:
        earlier = self.turn()
        earlier.end = "running"
        later = Record(
            request_id="r2", session_id="llama-1", began=1003.0, start=3.0, span=self.teller.begin(None)
        )
        later.take_over(earlier)
        told = await self.told(later)
        turn = told["invoke_agent llamaproxy"]
        self.assertNotEqual(turn.trace_id.hex(), CAUSE.trace_id)
        self.assertEqual([link.trace_id.hex() for link in turn.links], [CAUSE.trace_id])
        self.assertEqual(told["chat gpt-x"].trace_id.hex(), CAUSE.trace_id)
        self.assertEqual(told["chat gpt-x"].start_time_unix_nano, 1001 * 10**9)
        # The earlier one tells of none of it again.
        self.assertEqual(list(await self.told(earlier)), ["invoke_agent llamaproxy"])

    async def test_a_cause_that_is_not_sampled_is_told_to_nobody(self) -> None:
        quiet = Record(
            span=self.teller.begin(Span(trace_id=CAUSE.trace_id, span_id=CAUSE.span_id, sampled=False))
        )
        self.teller.hear(quiet)
        self.assertEqual(
            list(await self.told(self.turn(address="192.0.2.1"))).count("invoke_agent llamaproxy"), 1
        )

    async def test_a_collector_that_fails_is_told_of_once_and_harms_nothing(self) -> None:
        self.collector.status = 400
        with capturedLogs() as events:
            for _ in range(3):
                await self.told(self.turn())
            await until(lambda: self.teller.lost == 3)
            self.collector.status = 200
            await self.told(self.turn())
            await until(lambda: any("taken again" in e["log_format"] for e in events))
        said = [e for e in events if "spans" in e.get("log_format", "")]
        self.assertEqual(len(said), 2)

    async def test_nobody_at_the_address_is_no_trouble(self) -> None:
        await self.collector.stop()
        with capturedLogs() as events:
            self.teller.hear(self.turn())
            await until(lambda: bool(events))
        self.assertIn("turns go on without them", events[0]["log_format"])

    async def test_turns_beyond_what_can_wait_are_counted_and_dropped(self) -> None:
        slow = Teller(OTLPSpanExporter(f"{self.endpoint}/v1/traces"), lambda: ENTRIES, reactor)
        for _ in range(MOST_WAITING + 5):
            slow.hear(Record(span=CAUSE))
        self.assertEqual(slow.lost, 5)

    async def test_the_end_tells_what_is_left(self) -> None:
        late = Teller(
            OTLPSpanExporter(f"{self.endpoint}/v1/traces"), lambda: ENTRIES, reactor, gathering=3600
        )
        late.start()
        late.hear(self.turn())
        await late.stop()
        _, spans = await self.collector.came.get()
        self.assertEqual(len(spans), 4)

    async def test_none_of_a_crowd_of_turns_is_forgotten(self) -> None:
        crowd = 2 * AT_ONCE + 3
        teller = Teller(
            OTLPSpanExporter(f"{self.endpoint}/v1/traces"), lambda: ENTRIES, reactor, gathering=0.0
        )
        for _ in range(crowd):
            teller.hear(Record(span=CAUSE))
        teller.start()
        count = 0
        while count < crowd:
            _, spans = await self.collector.came.get()
            count += len(spans)
        await teller.stop()
        self.assertEqual(count, crowd)

    async def test_the_end_of_the_server_says_nothing_of_a_collector_that_is_gone(self) -> None:
        teller = Teller(OTLPSpanExporter("http://127.0.0.1:9", timeout=1), lambda: ENTRIES, reactor, 0.0)
        teller.start()
        with capturedLogs() as events:
            teller.hear(Record(span=CAUSE))
            await until(lambda: bool(events))
            await teller.stop()
            await deferLater(reactor, 0)
        self.assertFalse([e for e in events if "taken again" in e["log_format"]])
