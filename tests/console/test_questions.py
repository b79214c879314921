"""A question for leave that the operator answers from the console: the reply that asked goes on."""

from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.agent.turns.inquiries import PATIENCE
from llamaproxy.seams.types import Access
from tests.support import ScriptedTool, Wire

from .case import PagesCase, heard

SESSION = "llama-192.168.1.20"
CHAT = {"model": "main", "messages": [{"role": "user", "content": "write it down"}]}


class QuestionTests(PagesCase):
    def setUp(self) -> None:
        super().setUp()
        self.tool = ScriptedTool("note", "drive", access=Access(operation="write"))
        self.take_house(self.make_house(tools=[self.tool], limits=Limits(gate_mode="ask")))

    def ask(self) -> Wire:
        """A phone's turn that has come to the question."""
        wire = self.start("/api/chat", CHAT)
        self.house.calls[-1].call_tools(("note", '{"zone": "milk"}'))
        return wire

    def code(self) -> str:
        (question,) = self.house.agent.oversight.questions()
        self.assertEqual(question.calls[0], 'note {"zone": "milk"}')
        return question.code

    def decide(self, decision: str) -> int:
        body = {"session_id": SESSION, "code": self.code(), "decision": decision}
        return self.change("/console/decide", body).code

    def test_allowed_from_the_page_the_phones_reply_goes_on(self) -> None:
        self.listen()
        phone = self.ask()
        self.assertIn(b"This needs your leave", heard(phone))
        self.assertEqual(self.decide("yes"), 200)
        self.assertEqual(self.tool.calls, [{"zone": "milk"}])
        self.house.calls[-1].say("Written down.")
        self.house.calls[-1].finish()
        frames = heard(phone)
        self.assertIn(b"Written down.", frames)
        self.assertIn(b'"done":true', frames)
        self.assertEqual(self.house.recorder.of(SESSION)[0].end, "done")

    def test_refused_from_the_page_the_model_hears_of_it(self) -> None:
        self.listen()
        self.ask()
        self.decide("no")
        self.assertEqual(self.tool.calls, [])
        self.assertIn("said no", self.house.calls[-1].prompt()[-1][1])

    def test_always_opens_the_gate_for_the_session(self) -> None:
        self.listen()
        self.ask()
        self.decide("always")
        self.house.calls[-1].call_tools(("note", '{"zone": "bread"}'))
        self.assertEqual(len(self.tool.calls), 2)

    def test_without_a_console_the_reply_ends_with_the_question(self) -> None:
        phone = self.ask()
        self.assertIn(b'"done":true', heard(phone))
        self.assertEqual(self.decide("yes"), 200)
        self.assertEqual(len(self.tool.calls), 1)
        self.house.calls[-1].say("Written down.")
        self.house.calls[-1].finish()
        self.assertEqual(self.house.recorder.of(SESSION)[0].caller, "console")

    def test_reply_waits_only_so_long(self) -> None:
        self.listen()
        phone = self.ask()
        self.house.clock.pump([1.0] * int(PATIENCE + 1))
        self.assertIn(b'"done":true', heard(phone))
        self.code()

    def test_phones_own_answer_takes_the_question_over(self) -> None:
        self.listen()
        phone = self.ask()
        code = self.code()
        self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": f"!yes {code}"}]})
        self.assertIn(b'"done":true', heard(phone))
        self.assertEqual(len(self.tool.calls), 1)

    def test_phone_that_hangs_up_leaves_the_question_open(self) -> None:
        self.listen()
        phone = self.ask()
        phone.channel.connectionLost()
        self.assertEqual(self.decide("yes"), 200)
        self.assertEqual(len(self.tool.calls), 1)

    def test_question_is_answered_once_and_by_its_own_code(self) -> None:
        self.listen()
        self.ask()
        body = {"session_id": SESSION, "code": "ZZZZ", "decision": "yes"}
        self.assertEqual(self.change("/console/decide", body).code, 404)
        body["code"] = self.code()
        self.change("/console/decide", body)
        self.assertEqual(self.change("/console/decide", body).code, 404)
        self.assertEqual(len(self.tool.calls), 1)
