"""A model's own system prompt: read and changed by tools, behind the gates of `!autoAISysPrompt`."""

from tests.agent.turns.test_toolloop import ToolCase


class PromptToolTests(ToolCase):
    def setUp(self) -> None:
        self.use()
        self.house.agent.offer_prompt_tools()
        self.put("", "Be kind.\n[SECTIONS]\nstyle: how to write\n")
        self.put("_style", "Long.\n[SECTIONS]\ntone: warm\n")

    def put(self, suffix: str, text: str) -> None:
        (self.folder / f".system_prompt{suffix}").write_text(text)

    def call(self, name: str, arguments: str) -> str:
        """The result of a call in a turn of its own."""
        self.after((name, arguments))
        result = self.results()[-1]
        self.model.answer("Done.")
        return result

    def test_both_ask_until_their_gate_is_open(self) -> None:
        for name, side in (("read_system_prompt", "read"), ("update_system_prompt", "write")):
            self.assertIn(f"!autoAISysPrompt {side} true", self.call(name, '{"text": "x"}'))

    def test_prompt_is_read_with_the_names_of_its_sections(self) -> None:
        self.listen("!autoAISysPrompt read true")
        result = self.call("read_system_prompt", "{}")
        self.assertTrue(result.startswith("Be kind.\n\n## style: how to write\nLong."))
        self.assertTrue(result.endswith("[sections: style, tone]"))

    def test_section_is_replaced_and_counts_from_the_next_message_on(self) -> None:
        self.listen("!autoAISysPrompt true")
        self.call("update_system_prompt", '{"section": "style", "text": "Short."}')
        self.call("update_system_prompt", '{"text": "Be brave."}')
        self.listen("hello")
        self.assertEqual(
            self.model.request.messages[0].content,
            "Be brave.\n\n## style: how to write\nShort.\n\n### tone: warm",
        )

    def test_section_that_does_not_exist_is_an_error_for_the_model(self) -> None:
        self.listen("!autoAISysPrompt true")
        result = self.call("update_system_prompt", '{"section": "../../etc", "text": "x"}')
        self.assertIn("there is no section '../../etc'", result)

    def test_file_that_cannot_be_written_is_an_error_for_the_model(self) -> None:
        self.listen("!autoAISysPrompt true")
        (self.folder / ".system_prompt.new").mkdir()
        self.assertIn("cannot be written", self.call("update_system_prompt", '{"text": "x"}'))
