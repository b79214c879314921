"""Questions that a server has in the middle of a call: put to the user, answered by them, and the call goes on."""

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from llamaproxy.config.tools import McpServer
from llamaproxy.seams.errors import AsksUser
from llamaproxy.seams.types import ToolContext
from llamaproxy.tools.mcp import questions

from .case import PROGRAM, McpCase

ODD = str(Path(__file__).with_name("odd_server.py"))


class QuestionTests(McpCase):
    def setUp(self) -> None:
        super().setUp()
        # One speaks the newest protocol and one an older one.
        servers = {
            "new": McpServer(command=sys.executable, args=(PROGRAM,), timeout=20.0),
            "old": McpServer(command=sys.executable, args=(ODD,), timeout=20.0),
        }
        self.start(**servers)

    async def ask(self, name: str, answer: str | None = None, asks: bool = True, session: str = "s") -> str:
        tool = await self.tool(name)
        context = ToolContext(session_id=session, address="", reactor=reactor, asks=asks, answer=answer)
        running: Deferred[Any] = tool.run({}, context)
        return str(await running)

    async def question(self, name: str, answer: str | None = None, session: str = "s") -> str:
        try:
            text = await self.ask(name, answer, session=session)
        except AsksUser as question:
            return str(question)
        raise AssertionError(f"no question but {text}")

    async def test_a_question_is_put_and_the_call_goes_on_with_the_answer(self) -> None:
        self.assertEqual(
            await self.question("mcp_old_ask"), "What of ask?; answer behind the code: it (string)"
        )
        self.assertEqual(
            await self.ask("mcp_old_ask", "a llama"), '{"action": "accept", "content": {"it": "a llama"}}'
        )
        self.assertIn("size (integer)", await self.question("mcp_new_order"))
        self.assertEqual(await self.ask("mcp_new_order", "3"), "accept Order(size=3, sweet=True)")

    async def test_a_yes_is_the_answer_to_what_can_only_be_true_or_false(self) -> None:
        await self.question("mcp_old_confirm")
        self.assertEqual(
            await self.ask("mcp_old_confirm", ""), '{"action": "accept", "content": {"it": true}}'
        )

    async def test_several_answers_are_given_as_json(self) -> None:
        await self.question("mcp_new_order")
        self.assertEqual(
            await self.ask("mcp_new_order", '{"size": 1, "sweet": false}'),
            "accept Order(size=1, sweet=False)",
        )

    async def test_an_answer_that_is_none_asks_again(self) -> None:
        await self.question("mcp_new_order")
        for answer in ("large", "", "{nonsense"):
            self.assertIn("as JSON", await self.question("mcp_new_order", answer))
        self.assertEqual(await self.ask("mcp_new_order", "2"), "accept Order(size=2, sweet=True)")

    async def test_where_nobody_can_be_asked_the_question_is_declined(self) -> None:
        self.assertEqual(await self.ask("mcp_new_order", asks=False), "decline None")
        self.assertEqual(await self.ask("mcp_old_ask", asks=False), '{"action": "decline"}')

    async def test_the_same_call_made_anew_is_another_call(self) -> None:
        await self.question("mcp_new_order")
        self.assertIn("size", await self.question("mcp_new_order"))
        # An answer of another session is none to this one's question.
        self.assertIn("size", await self.question("mcp_new_order", "3", session="other"))

    async def test_a_question_that_nobody_answers_is_given_up(self) -> None:
        self.patch(questions, "PATIENCE_SECONDS", 0.05)
        await self.question("mcp_new_order")
        await deferLater(reactor, 0.3)
        self.assertIn("size", await self.question("mcp_new_order", "3"))
