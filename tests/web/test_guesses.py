"""Keys that are tried: each costs the guesser time and the server an entry in a table."""

from ipaddress import ip_address
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import Profile
from llamaproxy.web.guard import Guard
from llamaproxy.web.guesses import FREE, LONGEST_WAIT, MEMORY, MOST_ADDRESSES, Guesses
from tests.support import Front, House, Response

STRANGER = ip_address("8.8.8.8")


class GuessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.guesses = Guesses(self.clock.seconds)

    def wrong(self, count: int, address: str = "8.8.8.8", kind: str = "key") -> list[float]:
        """The waits that so many different wrong keys were told."""
        return [
            self.guesses.wait(ip_address(address), f"{kind} {number}".encode(), False)
            for number in range(count)
        ]

    def right(self, address: str = "8.8.8.8") -> float:
        return self.guesses.wait(ip_address(address), b"right", True)

    def test_each_further_guess_costs_twice_the_time(self) -> None:
        self.assertEqual(set(self.wrong(FREE)), {0.0})
        self.assertEqual(self.wrong(1, kind="next"), [2.0])
        waits: list[float] = []
        for number in range(14):
            self.clock.advance(waits[-1] if waits else 2.0)
            self.wrong(1, kind=f"more {number}")
            waits += self.wrong(1, kind="another")
        self.assertEqual(waits[:4], [4.0, 8.0, 16.0, 32.0])
        self.assertEqual(waits[-1], LONGEST_WAIT)

    def test_right_key_is_not_looked_at_meanwhile_and_is_afterwards(self) -> None:
        self.wrong(FREE)
        self.assertEqual(self.right(), 2.0)
        self.clock.advance(1.5)
        self.assertEqual(self.right(), 0.5)
        self.clock.advance(0.5)
        self.assertEqual(self.right(), 0.0)

    def test_waiting_is_not_made_longer_by_what_is_not_looked_at(self) -> None:
        self.wrong(FREE + 50)
        self.clock.advance(2)
        self.assertEqual(self.right(), 0.0)

    def test_who_was_right_goes_on_whoever_guesses_behind_the_same_address(self) -> None:
        self.right()
        self.wrong(FREE)
        self.assertEqual(self.right(), 0.0)

    def test_same_wrong_key_over_and_over_is_no_guess(self) -> None:
        for _ in range(1000):
            self.assertEqual(self.guesses.wait(STRANGER, b"old", False), 0.0)
        self.assertEqual(self.right(), 0.0)

    def test_others_do_not_wait(self) -> None:
        self.wrong(FREE)
        self.assertEqual(self.right("8.8.8.9"), 0.0)

    def test_network_of_a_house_counts_as_one_address(self) -> None:
        for number in range(FREE):
            self.wrong(1, f"2001:db8::{number:x}", f"kind {number}")
        self.assertGreater(self.right("2001:db8::ffff"), 0)
        self.assertEqual(self.right("2001:db8:0:1::1"), 0.0)

    def test_guesses_of_long_ago_are_forgotten(self) -> None:
        self.wrong(FREE - 1)
        self.clock.advance(MEMORY + 1)
        self.wrong(FREE - 1, kind="later")
        self.assertEqual(self.right(), 0.0)

    def test_table_is_bounded_however_many_addresses_guess(self) -> None:
        for number in range(MOST_ADDRESSES + 100):
            self.guesses.wait(ip_address(number), b"x", False)
        self.assertEqual(len(self.guesses), MOST_ADDRESSES)


class GuessingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        guard = Guard(
            api_keys={"old": "old-key"}, callers={"new": Profile(key="new-key")}, seconds=self.clock.seconds
        )
        self.front = Front(House(folder=Path(self.mktemp())), guard)

    def ask(self, key: str, address: str = "8.8.8.8", path: str = "/v1/models") -> Response:
        wire = self.front.connect(address).send("GET", path, authorization=f"Bearer {key}")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return wire.response()

    def test_guesser_hears_401_at_once_and_how_long_to_keep_still(self) -> None:
        for number in range(FREE):
            response = self.ask(f"guess-{number}")
            self.assertEqual((response.code, response.headers.get("retry-after")), (401, None))
        for key in ("guess-more", "old-key", "new-key"):
            response = self.ask(key)
            self.assertEqual((response.code, response.headers["retry-after"]), (401, "2"))
            self.assertEqual(response.json()["error"]["code"], "invalid_api_key")
        self.clock.advance(2)
        self.assertEqual(self.ask("new-key").code, 200)

    def test_every_dialect_says_so(self) -> None:
        for number in range(FREE):
            self.ask(f"guess-{number}")
        for path in ("/api/version", "/v1/models", "/v1/messages"):
            self.assertEqual(self.ask("old-key", path=path).code, 401)

    def test_nobody_near_by_learns_by_guessing_which_key_is_right(self) -> None:
        for number in range(FREE):
            self.assertEqual(self.ask(f"guess-{number}", "192.168.1.2").code, 200)
        self.assertEqual(
            {self.ask(key, "192.168.1.2").code for key in ("wrong", "old-key", "new-key")}, {401}
        )
        self.assertEqual(self.ask("guess-0", "192.168.1.2").code, 200)

    def test_keys_cost_nothing_where_none_is_asked_for(self) -> None:
        front = Front(House(folder=Path(self.mktemp())), Guard(operator_key="x" * 43))
        for number in range(3 * FREE):
            wire = front.connect().send("GET", "/v1/models", authorization=f"Bearer user-{number}")
            self.assertEqual(wire.response().code, 200)
