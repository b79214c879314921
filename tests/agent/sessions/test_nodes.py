"""Two agents over one PostgreSQL, as on two machines: what one does, the other knows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from llamaproxy.seams.types import Caller, ChatTurn, Text
from tests.store.postgres import fresh_database
from tests.support import House, Listener

try:
    from llamaproxy.store.postgres.nodes import Nodes
    from llamaproxy.store.postgres.store import PostgresSessionStore
except ImportError:
    pass

reactor: Any = installed_reactor
OPERATOR = Caller(session_id="s", address="127.0.0.1", owner=True)


class Node:
    """One of them, with a model of its own that the test answers."""

    def __init__(self, case: TestCase, arguments: dict[str, Any]) -> None:
        self.store = PostgresSessionStore(arguments, "db", reactor)
        self.nodes = Nodes(self.store, reactor)
        self.house = House(folder=Path(case.mktemp()), store=self.store)
        self.house.clock = reactor
        self.agent = self.house.new_agent(self.nodes)

    async def open(self) -> None:
        await self.store.open()
        await self.nodes.start()

    async def close(self) -> None:
        await self.agent.stop()
        self.nodes.stop()
        await self.store.close()

    def send(self, text: str, attempt: int | None = None, trail: tuple[str, ...] = ()) -> Deferred[Listener]:
        """Fires once the reply is over."""
        done: Deferred[Listener] = Deferred()

        class Last(Listener):
            def replyFinished(self, end: Any) -> None:
                super().replyFinished(end)
                done.callback(self)

            def replyFailed(self, reason: Any) -> None:
                super().replyFailed(reason)
                done.callback(self)

        asked = self.agent.turn(
            OPERATOR, ChatTurn(text=text, attempt=attempt, trail=trail, shown=(None,) * len(trail))
        )
        asked.addCallbacks(lambda reply: reply.deliverTo(Last()), done.errback)
        return done


class NodesTests(TestCase):
    timeout = 30

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.arguments = fresh_database()
        self.one, self.other = await self.node(), await self.node()
        # Each has counted the other.
        await self.one.nodes.start()

    async def node(self) -> Node:
        node = Node(self, self.arguments)
        self.addCleanup(node.close)
        await node.open()
        return node

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await deferLater(reactor, 0.01)

    async def talk(self, node: Node, text: str, answer: str) -> str:
        reply, number = node.send(text), len(node.house.calls)
        await self.until(lambda: len(node.house.calls) > number)
        node.house.calls[-1].answer(answer)
        return (await reply).text

    async def test_conversation_goes_on_at_another_node_and_comes_back(self) -> None:
        await self.talk(self.one, "q1", "a1")
        await self.talk(self.other, "q2", "a2")
        await self.talk(self.one, "q3", "a3")
        said = [("user", "q1"), ("assistant", "a1"), ("user", "q2"), ("assistant", "a2"), ("user", "q3")]
        self.assertEqual(self.one.house.calls[-1].prompt(), said)

    async def test_message_that_is_sent_again_to_another_node_gets_the_answer_of_its_turn(self) -> None:
        self.one.send("q", attempt=0, trail=("", "p"))
        await self.until(lambda: self.one.house.calls)
        again = self.other.send("q", attempt=1, trail=("", "p"))
        await deferLater(reactor, 0.3)
        self.one.house.calls[0].answer("the answer")
        self.assertEqual((await again).text, "the answer")
        self.assertEqual(self.other.house.calls, [])

    async def test_turn_is_stopped_from_another_node(self) -> None:
        reply = self.one.send("q")
        await self.until(lambda: self.one.house.calls)
        self.one.house.calls[0].send([Text("a")])
        self.assertEqual((await self.other.send("!stop")).text, "Stopped.")
        self.assertIn("[stopped]", (await reply).text)

    async def test_session_is_deleted_from_another_node(self) -> None:
        await self.talk(self.one, "q1", "a1")
        self.assertIn("Deleted", (await self.other.send("!session s delete")).text)
        await self.talk(self.one, "q2", "a2")
        self.assertEqual(self.one.house.calls[-1].prompt(), [("user", "q2")])

    async def test_sessions_of_all_nodes_are_listed_under_ids_of_their_own(self) -> None:
        await self.talk(self.one, "q1", "a1")
        shown = (await self.other.send("!session")).text
        ids = [line.split()[1] for line in shown.splitlines()[1:]]
        self.assertEqual((len(ids), len(set(ids))), (2, 2))

    async def test_node_that_comes_or_goes_is_known_at_once_and_not_at_the_next_census(self) -> None:
        late = await self.node()
        number = late.nodes.number
        all_of_them = {self.one.nodes.number, self.other.nodes.number, number}
        self.assertEqual(set(await self.one.nodes.gone(all_of_them)), set())
        await late.close()
        # PostgreSQL takes a moment to see that the connection has gone.
        while not (gone := await self.one.nodes.gone(all_of_them)):
            await deferLater(reactor, 0.01)
        self.assertEqual(set(gone), {number})

    async def test_limit_set_by_a_command_holds_on_every_node_and_on_those_to_come(self) -> None:
        await self.one.send("!maxusers 7")
        await self.until(lambda: self.other.house.limits.max_users == 7)
        late = await self.node()
        await self.until(lambda: late.house.limits.max_users == 7)

    async def test_settings_that_two_nodes_change_are_both_kept(self) -> None:
        await self.talk(self.one, "q1", "a1")
        await self.talk(self.other, "q2", "a2")
        await self.one.send("!tool_suppress true")
        await self.other.send("!stream false")
        stored = await self.one.store.load("s", 0)
        assert stored is not None
        self.assertEqual(stored.settings["tool_suppress"], True)
        self.assertEqual(stored.settings["agent_call_stream"], False)

    async def test_turn_ends_in_words_when_the_database_goes_and_commands_that_look_still_answer(
        self,
    ) -> None:
        reply = self.one.send("q")
        await self.until(lambda: self.one.house.calls)
        self.one.house.calls[0].send([Text("a")])
        self.one.store._is_node(None)
        self.assertEqual((await reply).error.__class__.__name__, "StoreUnavailable")
        self.assertIn("Chat:", (await self.one.send("!help")).text)
