"""Tools for models that know them in words only."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.requests.words import in_words
from llamaproxy.seams.types import Message, ModelRequest, ToolCall

CLOCK = {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}}
SYSTEM = Message(role="system", content="Be kind.")
QUESTION = Message(role="user", content="What time is it?")


class InWordsTests(SynchronousTestCase):
    def test_system_prompt_tells_of_the_tools_and_how_to_call_them(self) -> None:
        told = in_words(ModelRequest(messages=[SYSTEM, QUESTION], tools=[CLOCK]))
        system, question = told.messages
        self.assertTrue(system.content.startswith("Be kind.\n\n"))
        for words in ('"name":"clock"', "The time.", "<tool_call>"):
            self.assertIn(words, system.content)
        self.assertEqual((question, told.tools), (QUESTION, []))

    def test_without_a_system_prompt_there_is_one(self) -> None:
        system, question = in_words(ModelRequest(messages=[QUESTION], tools=[CLOCK])).messages
        self.assertEqual((system.role, question), ("system", QUESTION))

    def test_calls_and_results_of_the_history_are_text(self) -> None:
        call = ToolCall(id="1", name="clock", arguments='{"zone": "UTC"}')
        history = [
            QUESTION,
            Message(role="assistant", content="Let me see.", tool_calls=(call,)),
            Message(role="tool", content="12:00", tool_call_id="1"),
        ]
        _, said, heard = in_words(ModelRequest(messages=history)).messages
        self.assertEqual(
            said.content,
            'Let me see.\n<tool_call>\n{"name": "clock", "arguments": {"zone": "UTC"}}\n</tool_call>',
        )
        self.assertEqual((said.tool_calls, heard.role, heard.tool_call_id), ((), "user", None))
        self.assertEqual(heard.content, "<tool_response>\n12:00\n</tool_response>")

    def test_conversation_without_tools_stays_as_it_is(self) -> None:
        request = ModelRequest(messages=[SYSTEM, QUESTION])
        self.assertEqual(in_words(request).messages, request.messages)
