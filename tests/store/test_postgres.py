"""The store with a real PostgreSQL: what every store does, and what several nodes do with one."""

import random
import string
from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from llamaproxy.seams.errors import StoreError, StoreUnavailable
from llamaproxy.seams.interfaces import ISharedStore
from llamaproxy.seams.limits import Ruling
from llamaproxy.seams.types import Taken
from tests.store import suite
from tests.store.postgres import fresh_database
from tests.store.suite import contents, turn

try:
    import psycopg
    from psycopg import errors

    from llamaproxy.store.postgres import connection, database, turns
    from llamaproxy.store.postgres.connection import Connection
    from llamaproxy.store.postgres.database import Reader, Superseded
    from llamaproxy.store.postgres.nodes import Nodes
    from llamaproxy.store.postgres.store import PostgresSessionStore
except ImportError:
    pass

reactor: Any = installed_reactor


class StoreTests(suite.StoreSuite):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.arguments = fresh_database()
        await super().setUp()

    async def open(self) -> "PostgresSessionStore":
        store = PostgresSessionStore(self.arguments, "db", reactor, now=self.clock.seconds)
        self.addCleanup(store.close)
        await store.open()
        return store

    def test_it_is_one_that_nodes_share(self) -> None:
        verifyObject(ISharedStore, self.store)


class NodeCase(TestCase):
    """Several nodes on one database."""

    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        self.arguments = fresh_database()
        self.one = await self.node()
        self.other = await self.node()

    async def node(self) -> "PostgresSessionStore":
        store = PostgresSessionStore(self.arguments, "db", reactor)
        self.addCleanup(store.close)
        await store.open()
        return store

    async def said(self, store: "PostgresSessionStore") -> list[str]:
        session = await store.load("s", 100)
        return [] if session is None else contents(session.messages)


class TurnTests(NodeCase):
    async def test_one_node_at_a_time_has_a_sessions_turn(self) -> None:
        await self.one.take("s")
        waiting = self.other.take("s")
        await self.one.append("s", turn(1))
        self.assertNoResult(waiting)
        await self.other.take("t")
        self.one.give_back("s")
        await waiting
        await self.other.append("s", turn(2))
        self.assertEqual(await self.said(self.one), ["q1", "a1", "q2", "a2"])

    async def test_those_who_wait_get_their_turn_in_the_order_in_which_they_came(self) -> None:
        third = await self.node()
        order: list[str] = []
        await self.one.take("s")
        waiting: list[Deferred[Any]] = []
        for name, store in (("a", self.other), ("b", third), ("c", self.other), ("d", third)):
            before = await self.in_line()

            def taken(_: Taken, name: str = name, store: Any = store) -> None:
                order.append(name)
                store.give_back("s")

            waiting.append(store.take("s").addCallback(taken))
            while await self.in_line() == before:
                pass
        self.one.give_back("s")
        for each in waiting:
            await each
        self.assertEqual(order, ["a", "b", "c", "d"])

    async def in_line(self) -> int:
        statement = "SELECT count(*) FROM waiting"
        rows = await self.one.threads.write(
            lambda database: database.connection.execute(statement).fetchall()
        )
        return int(rows[0][0])

    async def test_who_takes_a_turn_learns_whether_another_node_has_written_since(self) -> None:
        self.assertFalse((await self.one.take("s")).current)
        await self.one.load("s", 10)
        await self.one.append("s", turn(1))
        self.one.give_back("s")
        self.assertTrue((await self.one.take("s")).current)
        self.one.give_back("s")
        self.assertFalse((await self.other.take("s")).current)
        await self.other.load("s", 10)
        await self.other.append("s", turn(2))
        self.other.give_back("s")
        self.assertFalse((await self.one.take("s")).current)

    async def test_who_waits_learns_whether_the_answer_came_meanwhile(self) -> None:
        for written_before in (False, True):
            await self.one.take("s")
            if written_before:
                await self.one.append("s", turn(1))
            waiting = self.other.take("s")
            while not await self.in_line():
                pass
            if not written_before:
                await self.one.append("s", turn(1))
            self.one.give_back("s")
            taken = await waiting
            self.assertEqual((taken.waited, taken.answered), (True, not written_before))
            self.other.give_back("s")
        # Of a dead node's nobody may have heard it.
        await self.one.take("s")
        await self.one.append("s", turn(2))
        waiting = self.other.take("s")
        self.one._pulse.stop()
        self.one.threads.trust()
        self.assertTrue((await waiting).answered)

    async def test_who_waits_no_more_is_not_given_the_turn(self) -> None:
        third = await self.node()
        await self.one.take("s")
        leaving = self.other.take("s")
        leaving.addErrback(lambda _: None)
        while not await self.in_line():
            pass
        waiting = third.take("s")
        leaving.cancel()
        self.one.give_back("s")
        await waiting

    async def test_dead_nodes_turn_goes_to_whoever_waits_and_its_late_words_are_not_written(self) -> None:
        await self.one.take("s")
        waiting = self.other.take("s")
        # As when its connection breaks: the others take it for dead, and it does not know yet.
        self.one._pulse.stop()
        self.one.threads.trust()
        await waiting
        with self.assertRaises(Superseded):
            await self.one.append("s", turn(1))
        await self.other.append("s", turn(2))
        self.assertEqual(await self.said(self.other), ["q2", "a2"])

    async def test_dead_node_in_the_line_holds_nobody_up(self) -> None:
        third = await self.node()
        await self.one.take("s")
        lost = self.other.take("s")
        lost.addErrback(lambda _: None)
        while not await self.in_line():
            pass
        waiting = third.take("s")
        self.other._pulse.stop()
        self.one.give_back("s")
        await waiting

    async def test_look_whether_a_node_is_dead_makes_it_look_alive_to_nobody(self) -> None:
        number = self.one.node
        assert number is not None
        self.one._pulse.stop()
        slow = Connection(self.arguments)
        self.addCleanup(slow.close)
        # PostgreSQL takes a moment to see that the connection has gone.
        while not turns.is_dead(slow, number):
            await deferLater(reactor, 0.01)
        with slow.transaction():
            self.assertTrue(turns.is_dead(slow, number))

            def ask(database: Any) -> tuple[bool, set[int]]:
                living = {node for node, *_ in turns.living(database.connection)}
                return turns.is_dead(database.connection, number), living

            dead, living = await self.other.threads.write(ask)
        self.assertTrue(dead)
        self.assertNotIn(number, living)

    async def test_node_hears_what_another_tells(self) -> None:
        heard: list[Any] = []
        self.other.heard = heard.append
        await self.one.tell({"hello": "there"})
        while not heard:
            await deferLater(reactor, 0.01)
        self.assertEqual(heard, [{"hello": "there"}])

    async def test_ruling_that_is_too_long_for_a_notification_holds_on_every_node(self) -> None:
        peers: list[Any] = [Peer(), Peer()]
        nodes = [Nodes(store, reactor) for store in (self.one, self.other)]
        for each, peer in zip(nodes, peers, strict=True):
            each.join(peer)
        ruling = Ruling("gate", True, "db read " + "\N{LLAMA}" * 3000)
        await nodes[0].rule(ruling)
        while not peers[1].obeyed:
            await deferLater(reactor, 0.01)
        self.assertEqual((peers[0].obeyed[0], peers[1].obeyed), (ruling, [ruling]))


class ConnectingTests(TestCase):
    """What becomes of a connection that is of no use."""

    timeout = 60

    def test_connection_that_cannot_be_set_up_is_closed(self) -> None:
        arguments = fresh_database()
        opened: list[Any] = []
        connect = psycopg.connect

        def kept(**more: Any) -> Any:
            opened.append(connect(**more))
            return opened[-1]

        self.patch(psycopg, "connect", kept)
        for module, name, make in (
            (connection, "SETTINGS", lambda: Reader(arguments)),
            (database, "READ_ONLY", lambda: Reader(arguments)),
        ):
            self.patch(module, name, "SET no_such_setting = 1")
            with self.assertRaises(psycopg.Error):
                make()
            self.assertTrue(opened[-1].closed, name)


class Peer:
    """Hears what is to be obeyed."""

    def __init__(self) -> None:
        self.obeyed: list[Ruling] = []

    def obey(self, ruling: Ruling) -> None:
        self.obeyed.append(ruling)


class TogetherTests(NodeCase):
    """What is kept while the thread is busy goes over in one transaction."""

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        # The first keeps the thread busy.
        self.first = self.one.append("first", turn(0))

    async def commits(self) -> int:
        """In how many transactions the sessions were written last."""
        return await self.one.threads.read(
            lambda reader: reader.connection.execute(
                "SELECT count(DISTINCT xmin::text) FROM sessions WHERE session_id <> 'first'"
            ).fetchall()[0][0]
        )

    async def outcomes(self, kept: Sequence["Deferred[Any]"]) -> list[Any]:
        await self.first
        results = await DeferredList(kept, consumeErrors=True)
        return [value if good else type(value.value) for good, value in results]

    async def test_turns_of_several_sessions_cost_one_commit(self) -> None:
        kept = [self.one.append(f"s{number}", turn(number)) for number in range(5)]
        self.assertEqual(await self.outcomes(kept), [1] * 5)
        self.assertEqual(await self.commits(), 1)

    async def test_turns_of_one_session_keep_their_order(self) -> None:
        kept = [self.one.append("s", turn(number)) for number in range(5)]
        await self.outcomes(kept)
        self.assertEqual(await self.said(self.one), [f"{who}{number}" for number in range(5) for who in "qa"])

    async def test_one_that_was_superseded_is_so_alone(self) -> None:
        await self.first
        for number in range(3):
            await self.one.take(f"s{number}")
        await self.other.threads.write(
            lambda database: database.connection.execute("DELETE FROM turns WHERE session_id = 's1'")
        )
        self.first = self.one.append("first", turn(0))
        kept = [self.one.append(f"s{number}", turn(number)) for number in range(3)]
        self.assertEqual(await self.outcomes(kept), [1, Superseded, 1])

    async def test_one_that_the_database_refuses_is_refused_alone(self) -> None:
        # No index takes so long a name.
        ids = ["s0", "".join(random.Random(1).choices(string.ascii_letters, k=9000)), "s2"]
        kept = [self.one.append(session_id, turn(0)) for session_id in ids]
        # It is not away, and would refuse that again.
        self.assertEqual(await self.outcomes(kept), [1, StoreError, 1])

    async def test_what_was_in_another_transactions_way_is_done_once_more(self) -> None:
        for error in (errors.DeadlockDetected, errors.SerializationFailure):
            tries: list[None] = []

            def work(database: Any, error: Any = error, tries: list[None] = tries) -> int:
                tries.append(None)
                if len(tries) < 3:
                    raise error("in the way")
                return 7

            kept: list[Deferred[Any]] = [self.one.append("s", turn(1)), self.one.threads.write(work)]
            self.assertEqual(await self.outcomes(kept), [1, 7])
            self.assertEqual(len(tries), 3)
        # The first was rolled back each time with what was in the way.
        self.assertEqual(await self.said(self.one), ["q1", "a1"] * 2)

    async def test_turns_are_kept_together_with_other_changes_in_their_order(self) -> None:
        kept: list[Deferred[Any]] = [
            self.one.append("s", turn(1)),
            self.one.clear("s"),
            self.one.append("s", turn(2)),
            self.one.save_settings("s", "m", {}),
        ]
        self.assertEqual(await self.outcomes(kept), [1, 2, 1, None])
        self.assertEqual(await self.said(self.one), ["q2", "a2"])

    async def test_none_is_said_to_be_kept_if_the_connection_breaks_before_they_are_committed(self) -> None:
        def hang_up(database: Any) -> None:
            database.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        kept: list[Deferred[Any]] = [
            self.one.append("s", turn(1)),
            self.one.threads.write(hang_up),
            self.one.append("t", turn(2)),
        ]
        self.assertEqual(await self.outcomes(kept), [StoreUnavailable] * 3)
        self.assertEqual(await self.said(self.other), [])
        self.flushLoggedErrors()

    async def test_turns_of_several_sessions_are_taken_together(self) -> None:
        waits: list[str] = []
        await self.first
        await self.other.take("s1")
        self.first = self.one.append("first", turn(0))
        taken = [self.one.take(f"s{number}", lambda: waits.append("waits")) for number in range(3)]
        await DeferredList([taken[0], taken[2]])
        self.other.give_back("s1", "memo")
        outcomes = await self.outcomes(taken)
        self.assertEqual(
            [(each.waited, each.memo) for each in outcomes], [(False, ""), (True, "memo"), (False, "")]
        )
        self.assertEqual(waits, ["waits"])


class AwayTests(NodeCase):
    async def cut(self) -> None:
        """The database ends all connections, as when it is started again."""
        killer = await self.node()
        await killer.threads.write(
            lambda database: database.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    async def test_store_that_was_away_comes_back_by_itself(self) -> None:
        await self.one.append("s", turn(1))
        await self.cut()
        for _ in range(50):
            try:
                await self.one.take("s")
                await self.one.append("s", turn(2))
                break
            except StoreUnavailable as error:
                self.assertEqual((error.status, error.retry_after), (503, 5))
                await deferLater(reactor, 0.1)
        else:
            self.fail("it did not come back")
        self.assertEqual(await self.said(self.other), ["q1", "a1", "q2", "a2"])
        self.flushLoggedErrors()

    async def test_nobody_waits_for_a_database_that_is_known_to_be_away(self) -> None:
        begun: list[None] = []

        def sleep(database: Any) -> None:
            begun.append(None)
            database.connection.execute("SELECT pg_sleep(60)")

        waiting = self.one.threads.write(sleep)
        while not begun:
            await deferLater(reactor, 0.01)
        await deferLater(reactor, 0.05)
        # As the pulse does in its thread.
        await deferToThread(self.one._entered, None)
        with self.assertRaises(StoreUnavailable):
            await waiting
        # It could be reached, but nobody tries: of one that cannot, that would take seconds to hear.
        with self.assertRaises(StoreUnavailable):
            await self.one.load("s", 1)
        await deferToThread(self.one._entered, 7)
        self.assertIsNone(await self.one.load("s", 1))
        self.flushLoggedErrors()

    async def test_turn_that_was_under_way_writes_nothing_once_another_node_has_it(self) -> None:
        await self.one.take("s")
        await self.cut()
        taken = False
        for _ in range(50):
            try:
                await self.other.take("s")
                taken = True
                break
            except StoreUnavailable:
                await deferLater(reactor, 0.1)
        self.assertTrue(taken)
        with self.assertRaises(StoreError):
            await self.one.append("s", turn(1))
            await self.one.append("s", turn(1))
        self.assertEqual(await self.said(self.other), [])
        self.flushLoggedErrors()
