"""What every session store does, whatever it is made of."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from llamaproxy.seams.interfaces import ISessionStore
from llamaproxy.seams.types import Image, Mark, Message, StoredSession, ToolCall


def turn(number: int) -> list[Message]:
    return [Message(role="user", content=f"q{number}"), Message(role="assistant", content=f"a{number}")]


def contents(messages: Sequence[Message]) -> list[str]:
    return [message.content for message in messages]


class StoreSuite(TestCase):
    """To be run for each store, whose `open` gives one over the same sessions each time."""

    async def open(self) -> Any:
        """A store over the sessions of this test, opened."""
        raise AssertionError("each store's tests say how")

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.clock = Clock()
        self.clock.advance(1_000)
        self.store = await self.open()

    async def session(self, session_id: str = "s", limit: int = 100) -> StoredSession:
        session = await self.store.load(session_id, limit)
        assert session is not None
        return session

    def test_it_is_a_session_store(self) -> None:
        verifyObject(ISessionStore, self.store)

    async def test_an_unknown_session_is_none(self) -> None:
        self.assertIsNone(await self.store.load("s", 10))

    async def test_everything_is_there_after_reopening(self) -> None:
        call = ToolCall(id="c1", name="search", arguments='{"q":"é"}')
        messages = [
            Message(role="user", content="look", images=(Image("AAAA", "image/png"), Image("BBBB"))),
            Message(role="assistant", content="", tool_calls=(call,)),
            Message(role="tool", content="found", tool_call_id="c1"),
            Message(role="assistant", content="I th", interrupted=True),
        ]
        await self.store.append("s", messages)
        await self.store.save_settings("s", "gemini25", {"max_ctx": 20, "tools": {"é": None}})
        await self.store.close()
        self.store = await self.open()
        self.assertEqual(
            await self.session(),
            StoredSession(
                session_id="s",
                model="gemini25",
                settings={"max_ctx": 20, "tools": {"é": None}},
                messages=tuple(messages),
                message_count=4,
                created_at=1_000,
                last_active=1_000,
            ),
        )

    async def test_the_newest_messages_come_in_order(self) -> None:
        for number in range(10):
            await self.store.append("s", turn(number))
        everything = [text for number in range(10) for text in (f"q{number}", f"a{number}")]
        for limit, expected in [
            (4, ["q8", "a8", "q9", "a9"]),
            (3, ["a8", "q9", "a9"]),
            (0, []),
            (-1, []),
            (1_000, everything),
            (10**25, everything),
        ]:
            session = await self.session(limit=limit)
            self.assertEqual(contents(session.messages), expected)
            self.assertEqual(session.message_count, 20)

    async def test_appends_that_do_not_wait_for_each_other_keep_their_order(self) -> None:
        await gatherResults([self.store.append("s", turn(number)) for number in range(50)])
        expected = [text for number in range(50) for text in (f"q{number}", f"a{number}")]
        self.assertEqual(contents((await self.session()).messages), expected)

    async def test_sessions_do_not_mix(self) -> None:
        await self.store.append("a", turn(1))
        await self.store.append("b", turn(2))
        self.assertEqual(contents((await self.session("a")).messages), ["q1", "a1"])
        self.assertEqual(contents((await self.session("b")).messages), ["q2", "a2"])

    async def test_times_say_when_it_began_and_was_last_used(self) -> None:
        await self.store.append("s", turn(1))
        self.clock.advance(5)
        await self.store.append("s", turn(2))
        session = await self.session()
        self.assertEqual((session.created_at, session.last_active), (1_000, 1_005))
        self.clock.advance(5)
        await self.store.save_settings("s", "m", {})
        self.assertEqual((await self.session()).last_active, 1_010)

    async def test_settings_alone_make_a_session(self) -> None:
        await self.store.save_settings("s", "m", {"a": 1})
        session = await self.session()
        self.assertEqual((session.model, session.settings, session.messages), ("m", {"a": 1}, ()))

    async def test_a_turn_keeps_the_settings_and_settings_keep_the_turns(self) -> None:
        await self.store.save_settings("s", "m", {"a": 1})
        await self.store.append("s", turn(1))
        await self.store.save_settings("s", "n", {"a": 2})
        session = await self.session()
        self.assertEqual((session.model, session.settings, session.message_count), ("n", {"a": 2}, 2))

    async def test_clear_forgets_messages_and_keeps_settings(self) -> None:
        await self.store.save_settings("s", "m", {"a": 1})
        await self.store.append("s", turn(1))
        self.assertEqual(await self.store.clear("s"), 2)
        self.assertEqual(await self.store.clear("s"), 0)
        self.assertEqual(await self.store.clear("nobody"), 0)
        session = await self.session()
        self.assertEqual((session.model, session.messages, session.message_count), ("m", (), 0))
        await self.store.append("s", turn(2))
        self.assertEqual(contents((await self.session()).messages), ["q2", "a2"])

    async def test_all_sessions_are_told_with_their_last_use_and_size(self) -> None:
        await self.store.append("s", turn(1))
        self.clock.advance(5)
        await self.store.save_settings("t", "m", {})
        resting = {each.session_id: each for each in await self.store.at_rest()}
        self.assertEqual({name: each.last_active for name, each in resting.items()}, {"s": 1_000, "t": 1_005})
        self.assertEqual((resting["s"].size, resting["t"].size), (4, 0))

    async def test_mark_of_a_message_comes_back(self) -> None:
        marked = Message(role="user", content="q", mark=Mark(before="a", after="b", linked=True))
        await self.store.append("s", [marked])
        self.assertEqual((await self.session()).messages, (marked,))

    async def test_delete_forgets_the_session(self) -> None:
        await self.store.append("s", turn(1))
        await self.store.append("t", turn(1))
        self.assertTrue(await self.store.delete("s"))
        self.assertFalse(await self.store.delete("s"))
        self.assertIsNone(await self.store.load("s", 10))
        await self.store.append("s", turn(2))
        self.assertEqual((await self.session()).message_count, 2)
        self.assertEqual((await self.session("t")).message_count, 2)

    async def test_any_text_survives_but_lone_surrogates_are_replaced(self) -> None:
        call = ToolCall(id="c", name="n", arguments="\0\ud83d\u2028")
        text = "a\0b \x85\u2028 é 漢 😀 \ud83d \ud83d\ude00"
        await self.store.append("s", [Message(role="assistant", content=text, tool_calls=(call,))])
        await self.store.save_settings("s", "m", {"x": "\0\ud83d"})
        (message,) = (await self.session()).messages
        self.assertEqual(message.content, "a\0b \x85\u2028 é 漢 😀 \ufffd 😀")
        self.assertEqual(message.tool_calls[0].arguments, "\0\ufffd\u2028")

    async def test_the_caller_may_reuse_what_it_passed(self) -> None:
        messages, settings = turn(1), {"a": 1}
        appended: Deferred[Any] = self.store.append("s", messages)
        saved: Deferred[Any] = self.store.save_settings("s", "m", settings)
        messages.clear()
        settings.clear()
        await gatherResults([appended, saved])
        session = await self.session()
        self.assertEqual((session.message_count, session.settings), (2, {"a": 1}))
