"""The console of a server with several processes: it shows all of them, and what it does holds in all."""

from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.console.witness import LOOKS_LAST
from llamaproxy.seams.elsewhere import Errand, Finding, IElsewhere, Log, LogLine
from llamaproxy.seams.oversight import Reloaded
from llamaproxy.seams.types import Access
from llamaproxy.server.overlook import Worker, overlook
from tests.support import Front, ScriptedTool, Wire

from .case import KEY, FakeFiles, PagesCase, heard

CHAT = {"model": "main", "messages": [{"role": "user", "content": "write it down"}]}
SESSION = "llama-192.168.1.20"
WARNING = LogLine(number=7, at=1.0, level="warn", text="of worker 2")


@implementer(IElsewhere)
class OtherWorker:
    """The way to one other process; what is said goes as JSON, as it does between processes."""

    def __init__(self) -> None:
        self.witness: Any = None
        self.reloads = 0

    def ask(self, errand: Errand) -> Deferred[list[Finding]]:
        return Deferred.fromCoroutine(self._ask(errand))

    async def _ask(self, errand: Errand) -> list[Finding]:
        asked: Errand = json.decode(json.encode(errand), type=Errand)
        answer = await self.witness.answer(asked)
        return [json.decode(json.encode(answer), type=Finding)]

    def read(self, after: int, wait: bool) -> Deferred[Log]:
        return succeed(Log(lines=(WARNING,) if after < 7 else (), warnings=(WARNING,)))

    def reload(self) -> Deferred[Reloaded]:
        self.reloads += 1
        return succeed(Reloaded(taken=True, lines=("the files were read again",)))


class ElsewhereCase(PagesCase):
    """`there` is the front of the other process, with a house of its own."""

    def setUp(self) -> None:
        self.elsewhere = OtherWorker()
        self.worker = Worker(number=0, elsewhere=self.elsewhere)
        super().setUp()
        self.tool = ScriptedTool("note", "drive", access=Access(operation="write"))
        self.far = self.make_house(tools=[self.tool], limits=Limits(gate_mode="ask"))
        self.there = Front(self.far)
        second = Worker(number=1, elsewhere=OtherWorker())
        oversight: Any = self.far.agent.oversight
        made = overlook(
            self.there.site,
            oversight,
            self.far.recorder,
            FakeFiles(),
            self.elsewhere.reload,
            self.far.clock,
            second,
        )
        self.elsewhere.witness = made.witness

    def ask_there(self) -> Wire:
        return self.there.connect().send("POST", "/api/chat", CHAT)

    def beat(self) -> None:
        for house in (self.house, self.far):
            house.clock.advance(1)

    def section(self, frames: bytes, name: str) -> Any:
        """What the newest frame of that name says."""
        found = [
            frame.partition(b"\ndata: ")[2]
            for frame in frames.split(b"\n\n")
            if f"event: {name}\n".encode() in frame
        ]
        return json.decode(found[-1])


class ElsewhereTests(ElsewhereCase):
    def test_streams_sessions_models_and_memory_of_all_are_shown(self) -> None:
        wire = self.listen()
        self.start("/api/chat", CHAT)
        self.ask_there()
        self.far.calls[-1].say("one")
        self.beat()
        self.beat()
        frames = heard(wire)
        self.assertEqual(len(self.section(frames, "streams")), 2)
        self.assertEqual(len(self.section(frames, "sessions")), 2)
        server = self.section(frames, "server")
        self.assertEqual([row["number"] for row in server["workers"]], [1, 2])
        self.assertEqual(server["memory"], sum(row["memory"] for row in server["workers"]))
        self.assertIn(b"of worker 2", frames)
        self.far.calls[-1].finish()
        self.beat()
        self.beat()
        frames = heard(wire)
        (record,) = self.section(frames, "records")
        self.assertEqual((record["end"], record["session_id"]), ("done", SESSION))
        self.assertEqual(self.section(frames, "models")[0]["asked"], 1)

    def test_question_in_another_process_waits_for_the_console_and_is_answered_there(self) -> None:
        wire = self.listen()
        self.beat()
        phone = self.ask_there()
        self.far.calls[-1].call_tools(("note", '{"zone": "milk"}'))
        self.assertNotIn(b'"done":true', heard(phone))
        self.beat()
        self.beat()
        (question,) = self.section(heard(wire), "questions")
        body = {"session_id": SESSION, "code": question["code"], "decision": "yes"}
        self.assertEqual(self.change("/console/decide", body).code, 200)
        self.assertEqual(self.tool.calls, [{"zone": "milk"}])
        self.assertEqual(self.change("/console/decide", body).code, 404)

    def test_when_nobody_looks_any_more_questions_wait_for_nobody(self) -> None:
        self.listen().channel.connectionLost()
        self.far.clock.advance(LOOKS_LAST + 1)
        phone = self.ask_there()
        self.far.calls[-1].call_tools(("note", '{"zone": "milk"}'))
        self.assertIn(b'"done":true', heard(phone))

    def test_turns_are_stopped_wherever_they_run(self) -> None:
        phone = self.ask_there()
        self.far.calls[-1].say("one")
        self.assertEqual(self.change("/console/stop", {"session_id": SESSION}).code, 200)
        self.assertEqual(self.far.recorder.of(SESSION)[0].end, "stopped")
        self.assertIn(b'"done":true', heard(phone))
        self.assertEqual(self.change("/console/stop", {"session_id": SESSION}).code, 404)
        self.start("/api/chat", CHAT)
        self.assertEqual(self.change("/console/stop", {"session_id": SESSION}).code, 200)
        self.assertEqual(self.house.recorder.of(SESSION)[0].end, "stopped")

    def test_records_words_and_the_log_are_those_of_all(self) -> None:
        self.change("/console/words", {"session_id": SESSION, "minutes": 5})
        self.assertEqual([*self.far.recorder.listened()], [SESSION])
        self.ask_there()
        self.far.calls[-1].answer("Noted.")
        operator = {"Authorization": f"Bearer {KEY}"}
        for of in ("", SESSION, self.far.recorder.of(SESSION)[0].request_id):
            (record,) = self.front.ask("GET", f"/console/trace?of={of}", b"", **operator).json()["records"]
            self.assertEqual(record["answered"], "Noted.", of)
        lines = self.front.ask("GET", "/console/log?after=3", b"", **operator).json()["lines"]
        self.assertEqual([line["text"] for line in lines], ["of worker 2"])

    def test_files_are_read_again_by_all(self) -> None:
        self.assertEqual(self.change("/console/reload", {}).json()["taken"], True)
        self.change("/console/model", {"key": "other", "to": "off"})
        self.assertEqual((self.elsewhere.reloads, self.files.kept), (2, [("other", "off")]))
