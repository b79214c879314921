"""Connections come to the worker that has the session of their address, by the kernel's own choice."""

import socket
from collections import Counter
from contextlib import ExitStack

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.workers.steering import owner_of, steer
from llamaproxy.workers.supervisor import listen

WORKERS = 3


class SteeringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stack = ExitStack()
        self.addCleanup(self.stack.close)

    def listen(self, host: str) -> list[socket.socket]:
        """The sockets of the workers, all on one port."""
        first = self.stack.enter_context(listen(host, 0))
        port = first.getsockname()[1]
        return [first, *(self.stack.enter_context(listen(host, port)) for _ in range(WORKERS - 1))]

    def reached(self, listeners: list[socket.socket], family: int, source: str, target: str) -> int:
        """The number of the worker at which a connection from an address comes out."""
        with socket.socket(family) as client:
            client.bind((source, 0))
            client.connect((target, listeners[0].getsockname()[1]))
            for number, listener in enumerate(listeners):
                try:
                    taken, _ = listener.accept()
                except BlockingIOError:
                    continue
                taken.close()
                return number
        raise AssertionError("nobody has it")

    def test_a_connection_comes_to_the_worker_that_has_its_addresss_session(self) -> None:
        listeners = self.listen("127.0.0.1")
        steer(listeners[0], WORKERS, [])
        for last in range(1, 60):
            source = f"127.0.0.{last}"
            with self.subTest(source):
                self.assertEqual(
                    self.reached(listeners, socket.AF_INET, source, "127.0.0.1"),
                    owner_of(f"llama-{source}", WORKERS),
                )

    def test_on_a_socket_for_both_kinds_of_addresses_either_kind_is_steered(self) -> None:
        listeners = self.listen("::")
        steer(listeners[0], WORKERS, [])
        for _ in range(4):
            owner = owner_of("llama-::1", WORKERS)
            self.assertEqual(self.reached(listeners, socket.AF_INET6, "::1", "::1"), owner)
            owner = owner_of("llama-127.0.0.9", WORKERS)
            self.assertEqual(self.reached(listeners, socket.AF_INET, "127.0.0.9", "127.0.0.1"), owner)

    def test_what_comes_through_a_trusted_proxy_is_spread(self) -> None:
        listeners = self.listen("::")
        steer(listeners[0], WORKERS, ["127.0.0.8/29", "10.0.0.0/8", "::1", "2001:db8::/33"])
        for family, source, target in (
            (socket.AF_INET, "127.0.0.9", "127.0.0.1"),
            (socket.AF_INET6, "::1", "::1"),
        ):
            found = Counter(self.reached(listeners, family, source, target) for _ in range(100))
            self.assertEqual(len(found), WORKERS, found)
        beside = {self.reached(listeners, socket.AF_INET, "127.0.0.7", "127.0.0.1") for _ in range(20)}
        self.assertEqual(beside, {owner_of("llama-127.0.0.7", WORKERS)})

    def test_sessions_are_spread_evenly_over_the_workers(self) -> None:
        kinds = {
            "a house": [f"llama-192.168.1.{n}" for n in range(1, 255)],
            "a company": [f"llama-10.{n >> 8}.{n & 255}.7" for n in range(4000)],
            "a prefix": [f"llama-2001:db8::{n:x}:1" for n in range(1, 4000)],
            "chats of one app": [f"llama-192.168.1.5-chat-{n}" for n in range(4000)],
        }
        for kind, sessions in kinds.items():
            for workers in (2, 3, 4, 8):
                with self.subTest(kind, workers=workers):
                    found = Counter(owner_of(session, workers) for session in sessions)
                    self.assertEqual(len(found), workers)
                    self.assertGreater(min(found.values()), 0.7 * len(sessions) / workers)
