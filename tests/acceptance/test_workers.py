"""One server in two processes: who has which session, what happens when one of them dies, and that nobody notices."""

import os
import re
import signal
from itertools import count

from msgspec import json
from twisted.internet.defer import Deferred, gatherResults

from llamaproxy.workers.steering import owner_of
from tests.machine import NO_WEIGHTS, WEIGHTS, children, is_alive, until
from tests.support import Response

from . import test_end, test_streams, test_trouble
from .case import AcceptanceCase
from .phone import OLLAMA, OPENAI, Phone
from .program import Program


def addresses(worker: int, number: int) -> list[str]:
    """Addresses whose sessions belong to that worker, counted from 0, of two."""
    all_of_them = (f"127.0.{i // 250}.{1 + i % 250}" for i in count(250))
    found = (each for each in all_of_them if owner_of(f"llama-{each}", 2) == worker)
    return [next(found) for _ in range(number)]


class WorkersCase(AcceptanceCase):
    """Two workers."""

    flags = ("--workers", "2")

    async def serve(self, *flags: str) -> Program:
        server = await super().serve(*flags)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.put_down(server)))
        return server

    async def put_down(self, server: Program) -> None:
        """Ends it, and waits for the workers, too: their connections to the upstream are the test's."""
        await server.put_down()
        pids = [int(pid) for pid in re.findall(r"is process (\d+)", server.output.decode())]
        await until(lambda: not any(map(is_alive, pids)))

    async def closed(self, server: Program) -> None:
        await super().closed(server)
        # Each of them says so of its own socket.
        await until(lambda: server.output.count(f"TCP Port {self.home.port} Closed".encode()) == 2)

    def pid(self, server: Program, worker: int) -> int:
        """The process that is that worker now."""
        *_, pid = re.findall(rf"worker {worker + 1} is process (\d+)", server.output.decode())
        return int(pid)

    async def say(self, text: str, address: str, **headers: str) -> str:
        """What is answered, by whoever answers; the model's part is the upstream's `script`."""
        phone = await self.dial(address)
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        phone.request("POST", OLLAMA.path, json.encode(OLLAMA.body(text)), *lines)
        return OLLAMA.text(await phone.response())


class PinningTests(WorkersCase):
    async def test_sessions_are_spread_over_both_workers_and_each_has_its_own_history(self) -> None:
        server = await self.serve()
        self.upstream.script = lambda call: call.answer(f"{len(call.history)} before {call.question}")
        everybody = [address for worker in (0, 1) for address in addresses(worker, 3)]
        for turn in range(3):
            for address in everybody:
                # Each time on a new connection, wherever the kernel puts it.
                self.assertEqual(await self.say(address, address), f"{2 * turn} before {address}")
        for worker in (1, 2):
            for address in addresses(worker - 1, 3):
                line = rf"\[worker {worker} [^]]*\] {re.escape(address)} POST".encode()
                await until(lambda line=line: len(re.findall(line, server.output)) == 3)  # type: ignore[misc]

    async def test_turns_of_one_session_on_two_connections_run_one_after_the_other(self) -> None:
        await self.serve()
        for worker in (0, 1):
            (address,) = addresses(worker, 1)
            first = await self.ask(OLLAMA, "one", address)
            call = await self.upstream.call()
            others = [await self.ask(OPENAI, f"{turn + 2}", address) for turn in range(4)]
            call.say("1")
            await first.until(b"1")
            call.finish()
            await first.closed()
            for turn in range(1, 5):
                call = await self.upstream.call()
                self.assertEqual(len(call.history), 2 * turn)
                call.answer("and so on")
            await gatherResults([phone.closed() for phone in others])

    async def test_stop_on_another_connection_ends_the_reply(self) -> None:
        await self.serve()
        for address in (*addresses(0, 1), *addresses(1, 1)):
            phone = await self.ask(OLLAMA, "a long story", address)
            call = await self.upstream.call()
            call.say("Once upon")
            await phone.until(b"Once upon")
            self.assertEqual(await self.say("!stop", address), "Stopped.")
            await call.dropped
            await phone.closed()


class HandoverTests(WorkersCase):
    """Requests of several sessions on one connection; chats that a header names belong to either worker."""

    def chats(self, number: int) -> list[str]:
        """Names of chats, by turns of one and the other worker."""
        names = (f"chat{i}" for i in count())
        found: list[str] = []
        for name in names:
            if owner_of(f"llama-127.0.0.1-{name}", 2) == len(found) % 2:
                found.append(name)
            if len(found) == number:
                return found
        raise AssertionError

    def request(self, chat: str, text: str, *headers: str) -> bytes:
        body = json.encode(OLLAMA.body(text))
        head = [
            f"POST {OLLAMA.path} HTTP/1.1",
            "Host: server",
            f"X-Llamaproxy-Chat: {chat}",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        return "\r\n".join([*head, "", ""]).encode() + body

    def echo(self) -> None:
        self.upstream.script = lambda call: call.answer(f"<{call.question}>", "+", str(len(call.history)))

    async def next_reply(self, phone: Phone) -> str:
        """The next reply on a connection that stays open."""
        await phone.until(OLLAMA.end)
        raw, _, rest = bytes(phone.received).partition(OLLAMA.end)
        phone.received[:] = rest
        return OLLAMA.text(Response(raw + OLLAMA.end))

    async def test_connection_that_stays_open_moves_from_one_session_to_the_other(self) -> None:
        await self.serve()
        self.echo()
        phone = await self.dial()
        for turn in range(3):
            for chat in self.chats(4):
                phone.send(self.request(chat, chat))
                self.assertEqual(await self.next_reply(phone), f"<{chat}>+{2 * turn}")

    async def test_requests_that_come_in_one_piece_move_together_and_are_answered_in_order(self) -> None:
        await self.serve()
        self.echo()
        phone = await self.dial()
        chats = self.chats(6)
        phone.send(b"".join(self.request(chat, f"I am {chat}") for chat in chats))
        self.assertEqual(
            [await self.next_reply(phone) for _ in chats], [f"<I am {chat}>+0" for chat in chats]
        )

    async def test_body_that_comes_in_small_pieces_or_waits_for_leave_arrives_whole(self) -> None:
        await self.serve()
        self.echo()
        for chat in self.chats(2):
            phone = await self.dial()
            phone.transport.setTcpNoDelay(True)
            text = "word " * 50_000 + "end"
            head, _, body = self.request(chat, text, "Expect: 100-continue").partition(b"\r\n\r\n")
            for start in range(0, len(head), 7):
                phone.send(head[start : start + 7])
            phone.send(b"\r\n\r\n")
            await phone.until(b"100 Continue\r\n\r\n")
            phone.received.clear()
            for start in range(0, len(body), 50_000):
                phone.send(body[start : start + 50_000])
            self.assertEqual(await self.next_reply(phone), f"<{text}>+0")

    async def test_request_that_says_nonsense_about_itself_is_answered(self) -> None:
        await self.serve()
        self.echo()
        for chat in self.chats(2):
            phone = await self.dial()
            phone.send(self.request(chat, "hello", "X-Llamaproxy-Depth: deep", "Connection: close"))
            self.assertIn("is a number", OLLAMA.error(await phone.response()))

    async def test_many_that_come_at_once_are_all_answered(self) -> None:
        server = await self.serve()
        self.home.write()
        self.echo()
        await self.say("!maxusers 0", "127.0.0.1")
        everybody = [f"127.3.{i // 200}.{1 + i % 200}" for i in range(400)]
        phones = await gatherResults([Deferred.fromCoroutine(self.dial(address)) for address in everybody])
        for phone in phones:
            phone.ask(OLLAMA, "hello")
        replies = await gatherResults([phone.closed() for phone in phones])
        self.assertEqual({OLLAMA.text(Response(reply)) for reply in replies}, {"<hello>+0"})
        self.assertNotIn(b"Traceback", server.output)

    async def test_client_that_leaves_at_once_leaves_nothing_behind(self) -> None:
        server = await self.serve()
        self.echo()
        for chat in self.chats(2) * 20:
            phone = await self.dial()
            phone.send(self.request(chat, "hello"))
            phone.hang_up()
            await phone.closed()
        self.assertEqual(await self.say("hello", "127.0.7.7"), "<hello>+0")
        self.assertNotIn(b"Traceback", server.output)


class DeathTests(WorkersCase):
    async def test_worker_that_is_killed_takes_only_its_own_streams_along_and_comes_back(self) -> None:
        server = await self.serve()
        ours, theirs = addresses(0, 4), addresses(1, 4)
        phones = {address: await self.ask(OLLAMA, address, address) for address in (*ours, *theirs)}
        calls = {call.question: call for call in [await self.upstream.call() for _ in phones]}
        told = dict.fromkeys(phones, "")
        dead = self.pid(server, 0)
        for piece in range(200):
            if piece == 100:
                os.kill(dead, signal.SIGKILL)
            for address in theirs if piece >= 100 else phones:
                calls[address].say(f"{piece} ")
                told[address] += f"{piece} "
        for address in ours:
            self.assertFalse((await phones[address].closed()).endswith(OLLAMA.end))
            await calls[address].dropped
        for address in theirs:
            calls[address].finish()
            reply = await phones[address].closed()
            self.assertEqual(OLLAMA.text(Response(reply)), told[address])
            self.assertTrue(reply.endswith(OLLAMA.end))

        await server.said("worker 1 ended")
        self.upstream.script = lambda call: call.answer(f"{len(call.history)}")
        self.assertEqual([await self.say("hello", address) for address in ours], ["0"] * 4)
        self.assertEqual([await self.say("hello", address) for address in theirs], ["2"] * 4)
        self.assertNotEqual(self.pid(server, 0), dead)

    async def test_request_for_a_worker_that_is_just_dead_waits_for_the_next_one(self) -> None:
        server = await self.serve()
        self.upstream.script = lambda call: call.answer(f"{len(call.history)}")
        everybody = [*addresses(0, 10), *addresses(1, 10)]
        self.assertEqual([await self.say("hello", address) for address in everybody], ["0"] * 20)
        for turn, worker in enumerate((0, 1), 1):
            os.kill(self.pid(server, worker), signal.SIGKILL)
            answers = await gatherResults(
                [Deferred.fromCoroutine(self.say("hello", address)) for address in everybody]
            )
            self.assertEqual(set(answers), {str(2 * turn)})

    async def test_requests_for_a_worker_that_hangs_are_answered_by_its_successor(self) -> None:
        server = await self.serve()
        self.upstream.script = lambda call: call.answer(f"{len(call.history)}")
        everybody = [*addresses(0, 10), *addresses(1, 10)]
        self.assertEqual([await self.say("hello", address) for address in everybody], ["0"] * 20)
        os.kill(self.pid(server, 0), signal.SIGSTOP)
        answers = await gatherResults(
            [Deferred.fromCoroutine(self.say("hello", address)) for address in everybody]
        )
        self.assertEqual(set(answers), {"2"})
        await server.said("worker 1 has not answered for 10 s")

    async def test_kill_of_the_supervisor_leaves_no_process_behind(self) -> None:
        server = await self.serve()
        workers = children(server.pid)
        self.assertEqual(len(workers), 2)
        phone = await self.ask(OLLAMA, "hello")
        call = await self.upstream.call()
        call.say("Good ")
        await phone.until(b"Good ")
        server.signal(signal.SIGKILL)
        await phone.closed()
        await until(lambda: not any(map(is_alive, workers)))
        await self.serve()
        phone = await self.ask(OLLAMA, "go on")
        call = await self.upstream.call()
        self.assertEqual(call.history, [("user", "hello"), ("assistant", "Good ")])
        call.answer("morning")
        await phone.closed()


class SharedStateTests(WorkersCase):
    async def test_limits_that_a_command_sets_hold_in_all_workers_and_in_those_to_come(self) -> None:
        server = await self.serve()
        (ours,), (theirs,) = addresses(0, 1), addresses(1, 1)
        await self.say("!limit_set search 7/9", ours)
        await self.say("!maxctx 33", theirs)
        for address in (ours, theirs):
            self.assertIn("search: 7 calls in 9 s", await self.say("!limit_list", address))
            self.assertIn("33", await self.say("!maxctx", address))
        os.kill(self.pid(server, 1), signal.SIGKILL)
        self.assertIn("search: 7 calls in 9 s", await self.say("!limit_list", theirs))
        self.assertIn("33", await self.say("!maxctx", theirs))

    async def test_sessions_of_all_workers_are_counted_listed_and_deleted_from_anywhere(self) -> None:
        await self.serve()
        self.upstream.script = lambda call: call.answer(f"{len(call.history)}")
        ours, theirs = addresses(0, 2), addresses(1, 2)
        for address in (*ours, *theirs):
            await self.say("hello", address)
        listed = await self.say("!session", ours[0])
        for address in (*ours, *theirs):
            self.assertIn(f"llama-{address}: m, 2 messages", listed)
        self.assertIn("Sessions: 4 of 50", await self.say("!get_system_info", theirs[0]))

        full = f"llama-{theirs[0]}"
        self.assertEqual(await self.say(f"!session {full} delete", ours[0]), f"Deleted: {full}")
        (short,) = re.findall(rf"(\d+) llama-{re.escape(theirs[1])}:", listed)
        self.assertEqual(await self.say(f"!session {short} delete", ours[0]), f"Deleted: llama-{theirs[1]}")
        self.assertIn("no session", await self.say("!session 99999 delete", ours[0]))
        self.assertEqual([await self.say("hello", address) for address in theirs], ["0", "0"])

    async def test_metrics_of_either_worker_tell_of_both_and_of_what_a_dead_one_has_done(self) -> None:
        server = await self.serve()
        self.upstream.script = lambda call: call.answer("one", " two")
        for address in (*addresses(0, 3), *addresses(1, 2)):
            await self.say("hello", address)
        for _ in range(6):
            await self.check_metrics(10, 6, 4)
        os.kill(self.pid(server, 0), signal.SIGKILL)
        await self.say("hello", addresses(0, 1)[0])
        await self.check_metrics(12, 2, 4)

    async def check_metrics(self, tokens: int, first: int, second: int) -> None:
        phone = await self.dial()
        phone.request("GET", "/metrics")
        lines = (await phone.response()).body.decode().splitlines()
        self.assertIn(f"llamaproxy_tokens_total {tokens}.0", lines)
        self.assertIn(f"llamaproxy_turn_seconds_count {tokens / 2}", lines)
        self.assertIn(f'llamaproxy_worker_tokens_total{{worker="1"}} {first}.0', lines)
        self.assertIn(f'llamaproxy_worker_tokens_total{{worker="2"}} {second}.0', lines)


class EmbeddedModelTests(WorkersCase):
    skip = NO_WEIGHTS

    async def test_all_workers_use_one_embedded_model(self) -> None:
        self.home.models = {"m": {"type": "LOCAL", "model_id": str(WEIGHTS), "max_tokens": 5}}
        server = await self.serve()
        workers = children(server.pid)
        for address in (*addresses(0, 1), *addresses(1, 1)):
            self.assertTrue(await self.say("Say hello.", address))
            phone = await self.dial(address)
            phone.request("GET", "/api/ps")
            self.assertEqual(len((await phone.response()).json()["models"]), 1)
        (model,) = set(children(server.pid)) - set(workers)
        self.assertEqual([children(worker) for worker in workers], [[], []])
        server.signal(signal.SIGTERM)
        self.assertEqual((await server.ended(), server.errors), (0, b""))
        self.assertFalse(is_alive(model))


class SharedSignalTests(WorkersCase, test_end.SignalTests):
    """What holds for one process."""


class SharedDaemonTests(WorkersCase, test_end.DaemonTests):
    """What holds for one process."""


class SharedStreamTests(WorkersCase, test_streams.SideBySideTests):
    """What holds for one process."""


class SharedLeavingTests(WorkersCase, test_streams.LeavingTests):
    """What holds for one process."""


class SharedBadClientTests(WorkersCase, test_trouble.BadClientTests):
    """What holds for one process."""
