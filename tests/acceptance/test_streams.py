"""Streams side by side, readers that stall, clients that leave."""

from collections.abc import Callable, Iterator

from twisted.internet.defer import gatherResults

from tests.machine import memory, settled
from tests.support import Response

from .case import AcceptanceCase
from .phone import DIALECTS, OLLAMA, OPENAI, Dialect
from .upstream import frames

PHONES = 50
MEGABYTE = 1024 * 1024


class SideBySideTests(AcceptanceCase):
    async def check(self, dialect: Dialect) -> None:
        await self.serve()
        addresses = [f"127.0.1.{number}" for number in range(1, PHONES + 1)]
        phones = [await self.ask(dialect, address, address) for address in addresses]
        # All of them are under way before the first one goes on.
        calls = [await self.upstream.call() for _ in phones]
        for turn in range(40):
            for call in calls:
                call.say(*(f"{call.question} {turn}.{piece} " for piece in range(turn % 5)))
        for call in calls:
            call.finish()
        replies = await gatherResults([phone.closed() for phone in phones])
        for address, reply in zip(addresses, replies, strict=True):
            told = "".join(f"{address} {turn}.{piece} " for turn in range(40) for piece in range(turn % 5))
            self.assertEqual(dialect.text(Response(reply)), told)
            self.assertTrue(reply.endswith(dialect.end))

    async def test_fifty_ollama_streams_from_fifty_addresses_each_get_their_own_reply(self) -> None:
        await self.check(OLLAMA)

    async def test_fifty_openai_streams_from_fifty_addresses_each_get_their_own_reply(self) -> None:
        await self.check(OPENAI)


class StalledReaderTests(AcceptanceCase):
    timeout = 120

    async def check(self, dialect: Dialect, piece: Callable[[int], str], pieces: int, batch: int) -> None:
        server = await self.serve()

        def batches(until: int) -> Iterator[bytes]:
            for start in range(0, until, batch):
                yield frames(tuple(piece(number) for number in range(start, min(until, start + batch))))

        # The first reply warms the process up; in another session, whose history the next prompt does not repeat.
        phone = await self.ask(dialect, "warm up", "127.0.1.3")
        (await self.upstream.call()).pour(batches(pieces // 4))
        await phone.closed()

        before = memory(server.pid)
        phone = await self.ask(dialect, "a long story")
        pour = (await self.upstream.call()).pour(batches(pieces))
        await phone.until(piece(batch).encode())
        phone.stall()
        stopped_at = await settled(pour.position)
        self.assertFalse(pour.done)
        grown = memory(server.pid) - before
        self.assertLess(grown, MEGABYTE)

        # The server is there for others meanwhile.
        other = await self.ask(dialect, "hello", "127.0.1.2")
        (await self.upstream.call()).answer("hi")
        self.assertEqual(dialect.text(await other.response()), "hi")
        self.assertEqual(pour.position(), stopped_at)

        phone.read_on()
        reply = await phone.closed()
        self.assertTrue(reply.endswith(dialect.end))
        self.assertEqual(dialect.text(Response(reply)), "".join(map(piece, range(pieces))))
        self.assertTrue(pour.done)

    async def test_50_megabytes_of_ndjson_wait_in_the_models_socket(self) -> None:
        await self.check(OLLAMA, lambda number: f"<{number}>".ljust(8192, "."), 50 * 128, 8)

    async def test_50_megabytes_of_sse_wait_in_the_models_socket(self) -> None:
        await self.check(OPENAI, lambda number: f"<{number}>".ljust(8192, "."), 50 * 128, 8)

    async def test_tiny_ndjson_frames_wait_in_the_models_socket(self) -> None:
        await self.check(OLLAMA, lambda number: f"<{number}>", 150_000, 1000)

    async def test_tiny_sse_frames_wait_in_the_models_socket(self) -> None:
        await self.check(OPENAI, lambda number: f"<{number}>", 150_000, 1000)


class LeavingTests(AcceptanceCase):
    async def test_leaving_in_the_middle_hangs_up_on_the_model_and_keeps_the_turn_as_interrupted(
        self,
    ) -> None:
        server = await self.serve()
        for dialect in DIALECTS:
            phone = await self.ask(dialect, f"tell me, {dialect.path}")
            call = await self.upstream.call()
            call.say("Once upon")
            await phone.until(b"Once upon")
            phone.hang_up()
            await call.dropped
        phone = await self.ask(OLLAMA, "go on")
        call = await self.upstream.call()
        told = [
            turn for d in DIALECTS for turn in (("user", f"tell me, {d.path}"), ("assistant", "Once upon"))
        ]
        self.assertEqual(call.history, told)
        call.answer("...")
        await phone.closed()
        self.assertIsNone(server.status)

    async def test_leaving_while_the_model_is_silent_hangs_up_on_it(self) -> None:
        await self.serve()
        for dialect in DIALECTS:
            for stream in (True, False):
                phone = await self.ask(dialect, "hello", stream=stream)
                call = await self.upstream.call()
                phone.hang_up()
                await call.dropped

    async def test_leaving_while_stalled_hangs_up_on_the_model(self) -> None:
        await self.serve()
        for dialect in DIALECTS:
            phone = await self.ask(dialect, "a long story")
            call = await self.upstream.call()
            pour = call.pour(iter([frames(("." * 8192,))] * 6400))
            await phone.until(b"...")
            phone.stall()
            await settled(pour.position)
            phone.hang_up()
            await call.dropped
            self.assertFalse(pour.done)

    async def test_leaving_gives_up_the_place_in_the_queue(self) -> None:
        await self.serve()
        first = await self.ask(OLLAMA, "one")
        call = await self.upstream.call()
        second = await self.ask(OLLAMA, "two")
        third = await self.ask(OPENAI, "three")
        second.hang_up()
        await second.closed()
        call.answer("1")
        await first.closed()
        call = await self.upstream.call()
        if call.question == "two":
            # The end of the first answer overtook the hanging up on its way to the server, which nobody can order.
            await call.dropped
            call = await self.upstream.call()
        self.assertEqual(call.question, "three")
        call.answer("3")
        await third.closed()

    async def test_client_that_reads_nothing_for_the_stall_timeout_is_dropped(self) -> None:
        self.home.door = {"stall_timeout": 0.3}
        await self.serve()
        phone = await self.ask(OLLAMA, "a long story")
        call = await self.upstream.call()
        call.pour(iter([frames(("." * 8192,))] * 6400))
        await phone.until(b"...")
        phone.stall()
        await call.dropped
        phone.read_on()
        self.assertFalse((await phone.closed()).endswith(OLLAMA.end))
