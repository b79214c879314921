"""What all workers have counted, in one page."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web.metrics import Family
from llamaproxy.workers.ledger import Ledger


def tokens(number: float) -> Family:
    return Family(
        name="llamaproxy_tokens",
        about="Tokens.",
        kind="counter",
        samples=[("llamaproxy_tokens_total", {}, number)],
    )


def gauge(name: str, value: float, **labels: str) -> Family:
    return Family(name=name, about="A gauge.", kind="gauge", samples=[(name, labels, value)])


class LedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = Ledger()

    def lines(self) -> list[str]:
        return [line for line in self.ledger.text().splitlines() if line[:1] != "#"]

    def test_sums_have_the_plain_names_and_each_workers_share_a_name_of_its_own(self) -> None:
        self.ledger.enter(0, [tokens(3)])
        self.ledger.enter(1, [tokens(4)])
        self.assertEqual(
            self.lines(),
            [
                "llamaproxy_tokens_total 7.0",
                'llamaproxy_worker_tokens_total{worker="1"} 3.0',
                'llamaproxy_worker_tokens_total{worker="2"} 4.0',
            ],
        )

    def test_newer_figures_of_a_worker_replace_its_older_ones(self) -> None:
        self.ledger.enter(0, [tokens(3)])
        self.ledger.enter(0, [tokens(5)])
        self.assertIn("llamaproxy_tokens_total 5.0", self.lines())

    def test_samples_are_added_label_by_label(self) -> None:
        self.ledger.enter(0, [gauge("llamaproxy_x", 1, code="a"), gauge("llamaproxy_x", 2, code="b")])
        self.ledger.enter(1, [gauge("llamaproxy_x", 10, code="a")])
        lines = self.lines()
        self.assertIn('llamaproxy_x{code="a"} 11.0', lines)
        self.assertIn('llamaproxy_x{code="b"} 2.0', lines)
        self.assertIn('llamaproxy_worker_x{code="a",worker="2"} 10.0', lines)

    def test_delay_of_the_server_is_that_of_its_worst_worker(self) -> None:
        for worker, delay in enumerate((0.1, 0.3, 0.2)):
            self.ledger.enter(worker, [gauge("llamaproxy_reactor_delay_seconds", delay)])
        self.assertIn("llamaproxy_reactor_delay_seconds 0.3", self.lines())

    def test_sum_never_shrinks_when_a_worker_is_replaced(self) -> None:
        self.ledger.enter(0, [tokens(3), gauge("llamaproxy_connections", 8)])
        self.ledger.enter(1, [tokens(4), gauge("llamaproxy_connections", 1)])
        for _ in range(2):
            self.ledger.close(0)
            self.ledger.enter(0, [tokens(1), gauge("llamaproxy_connections", 0)])
        lines = self.lines()
        self.assertIn("llamaproxy_tokens_total 9.0", lines)
        self.assertIn("llamaproxy_connections 1.0", lines)
        self.assertIn('llamaproxy_worker_tokens_total{worker="1"} 1.0', lines)

    def test_what_processes_cost_is_never_added_up(self) -> None:
        self.ledger.enter(0, [gauge("process_open_fds", 8)])
        self.ledger.enter(1, [gauge("process_open_fds", 9)])
        self.assertEqual(
            self.lines(), ['process_open_fds{worker="1"} 8.0', 'process_open_fds{worker="2"} 9.0']
        )
