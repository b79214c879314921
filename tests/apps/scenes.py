"""What every coding app does with a server as scenes; each app's tests play all of them."""

from typing import Any

from msgspec import json

from tests.acceptance.upstream import Call

from .case import BREAK, SLOWLY, TALE, AppCase


class Scenes(AppCase):
    async def test_second_message_goes_on_from_the_first(self) -> None:
        self.assertIn("Answer", await self.say("first words"))
        self.assertIn("Answer", await self.say("second words", again=True))
        self.assertEqual(await self.said(), ["first words", "second words"])

    async def test_second_chat_that_begins_like_the_first_takes_nothing_away(self) -> None:
        await self.say("first words")
        await self.say("second words", again=True)
        await self.say("first words")
        self.assertEqual(await self.said(), ["first words", "second words", "first words"])

    async def test_interrupted_reply_is_kept_and_the_next_message_is_a_turn_of_its_own(self) -> None:
        await self.interrupt(SLOWLY)
        await self.say("and then?", again=True)
        held = await self.held()
        self.assertEqual([text for role, text in held if role == "user"], [SLOWLY, "and then?"])
        self.assertTrue(held[1][1].startswith(TALE), held)

    async def test_command_is_answered_by_the_agent(self) -> None:
        self.assertIn("!whoami", await self.say("!help"))
        self.assertEqual(await self.said(), [])

    async def test_reply_that_broke_and_was_asked_for_again_is_one_turn(self) -> None:
        # Some apps show the error, and do not ask again.
        await self.start(*self.app.arguments(BREAK)).ended()
        self.assertEqual(await self.said(), [BREAK])

    async def test_message_whose_line_broke_and_was_sent_again_is_one_turn(self) -> None:
        program = self.start(*self.app.arguments(SLOWLY))
        await self.telling
        self.cable.pull()
        await program.ended()
        self.assertEqual(await self.said(), [SLOWLY])


class FileScenes(Scenes):
    """For apps that send along the files that their messages name."""

    # Where a file's words are taken for a person's, they change what the command shows.
    trap = "!tool_preview_length 7\n!tool_preview_length 7\n"

    def look_at(self, name: str) -> list[str]:
        """To say "look at" with a file of the project."""
        return self.app.arguments(f"look at @{name}")

    async def test_file_is_material(self) -> None:
        (self.app.project / "notes.md").write_text(self.trap)
        before = await self.ask_agent("!tool_preview_length")
        await self.shown(self.start(*self.look_at("notes.md")))
        self.assertEqual(await self.ask_agent("!tool_preview_length"), before)
        (said,) = await self.said()
        self.assertIn("look at", said.splitlines()[-1])


class ChatScenes(AppCase):
    """For apps that say in a header which of their chats it is, where the operator lets that name sessions."""

    door = {"session_by": ["client_header"]}

    async def test_each_chat_is_a_session_of_its_own(self) -> None:
        await self.say("first words")
        await self.say("other words")
        self.assertEqual(self.asked("other words").history, [])
        await self.say("more words", again=True)
        self.assertEqual([text for _, text in self.asked("more words").history][::2], ["other words"])


class ToolScenes(AppCase):
    """For apps with tools of their own, where the operator allows them; `call` is what leaves a file behind."""

    door = {"client_tools": "on"}
    call: tuple[str, dict[str, Any]]

    def answer(self, call: Call) -> None:
        self.calls.append(call)
        name, arguments = self.call
        if call.role == "user" and name in call.tools and "make it" in call.question:
            call.call_tool(name, json.encode(arguments).decode())
        else:
            call.answer("It is made." if call.role == "tool" else "Nothing to do.")

    async def test_app_runs_its_own_tool_for_the_agents_model(self) -> None:
        self.assertIn("It is made.", await self.say("make it"))
        self.assertEqual((self.app.project / "made.txt").read_text().strip(), "hello")


class TerminalScenes(AppCase):
    """For apps that do more where a person sits before them; `prompt` is what they show when they listen."""

    prompt: str

    async def test_title_that_the_app_asks_for_is_shown_and_is_no_turn(self) -> None:
        terminal = self.sit_down()
        await terminal.said(self.prompt)
        await terminal.type("plan a garden with roses")
        # The only words with a capital are those of the title.
        await terminal.said("Plan a garden")
        await terminal.said("Answer")
        self.assertEqual(await self.said(), ["plan a garden with roses"])

    async def test_escape_ends_the_reply_and_the_next_message_is_a_turn_of_its_own(self) -> None:
        terminal = self.sit_down()
        await terminal.said(self.prompt)
        await terminal.type(SLOWLY)
        call = await self.telling
        await terminal.said("upon")
        terminal.escape()
        await call.dropped
        await terminal.type("and then")
        await terminal.said("Answer")
        self.assertEqual(await self.said(), [SLOWLY, "and then"])
