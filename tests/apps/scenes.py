"""What every coding app does with a server, told as scenes; each app's tests play all of them."""

from .case import SLOWLY, TALE, AppCase


class Scenes(AppCase):
    async def test_second_message_goes_on_from_the_first(self) -> None:
        self.assertIn("Answer 1.", await self.say("first words"))
        self.assertIn("Answer", await self.say("second words", again=True))
        self.assertEqual(await self.said(), ["first words", "second words"])

    async def test_interrupted_reply_is_kept_and_the_next_message_is_a_turn_of_its_own(self) -> None:
        await self.interrupt(SLOWLY)
        await self.say("and then?", again=True)
        held = await self.held()
        self.assertEqual([text for role, text in held if role == "user"], [SLOWLY, "and then?"])
        self.assertTrue(held[1][1].startswith(TALE), held)

    async def test_command_is_answered_by_the_agent(self) -> None:
        self.assertIn("!whoami", await self.say("!help"))
        self.assertEqual(await self.said(), [])
