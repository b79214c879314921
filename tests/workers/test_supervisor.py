"""When the supervisor starts a worker again, and when it gives up."""

from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ProcessTerminated
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.amp import ANSWER, ASK, AmpBox, parseString
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import Configuration, Home, load_configuration
from llamaproxy.console.loglines import LogLines
from llamaproxy.server.assembly import Plan
from llamaproxy.workers.office import Office
from llamaproxy.workers.pulse import INTERVAL, PATIENCE
from llamaproxy.workers.supervisor import HEALTHY, CannotServe, Supervisor
from tests.machine import free_port


class Child:
    """One process that was started; the test says what becomes of it."""

    def __init__(self, protocol: Any, link: Any) -> None:
        self.pid = 4321
        self.link = link
        self.killed = False
        self._protocol = protocol
        self._protocol.makeConnection(self)

    def ready(self) -> None:
        self.link.ready()

    def die(self, last_words: bytes = b"") -> None:
        if last_words:
            self._protocol.childDataReceived(2, last_words)
        self.link.connectionLost(Failure(ProcessTerminated(signal=9)))
        self._protocol.processEnded(Failure(ProcessTerminated(signal=9)))

    def writeToChild(self, fd: int, data: bytes) -> None: ...

    def closeChildFD(self, fd: int) -> None: ...

    def signalProcess(self, name: str) -> None:
        self.killed = name == "KILL"


class ChildrenReactor(MemoryReactorClock):
    """Starts children that exist only in the test."""

    def __init__(self) -> None:
        super().__init__()
        self.hasRun = True
        self.started: list[Child] = []
        self._links: list[Any] = []

    def adoptStreamConnection(self, fd: int, family: int, factory: Any) -> None:
        self._links.append(factory.buildProtocol(None))
        self._links[-1].makeConnection(StringTransport())

    def spawnProcess(self, protocol: Any, *args: Any, **named: Any) -> None:
        self.started.append(Child(protocol, self._links.pop()))


class SupervisorCase(SynchronousTestCase):
    """A supervisor of two workers."""

    def setUp(self) -> None:
        self.reactor: Any = ChildrenReactor()
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        config: Configuration = load_configuration(home)
        plan = Plan(config=config, home=str(home.path), default_model="smollm2")
        self.address = ("127.0.0.1", free_port("127.0.0.1"))
        self.supervisor = Supervisor(
            plan, 2, self.address, Office({}, self.reactor, LogLines(self.reactor)), self.reactor
        )

    def start(self) -> Deferred[None]:
        started = self.supervisor.startService()
        self.addCleanup(self.supervisor.stopService)
        return started

    def serve(self) -> None:
        """Both workers are ready."""
        started = self.start()
        for child in self.reactor.started:
            child.ready()
        self.successResultOf(started)

    @property
    def newest(self) -> Child:
        child: Child = self.reactor.started[-1]
        return child

    def starts(self) -> int:
        return len(self.reactor.started)


class HangTests(SupervisorCase):
    def answer(self, child: Child) -> None:
        """The child takes in what it was asked, and answers."""
        boxes = child.link.transport.value()
        child.link.transport.clear()
        for box in parseString(boxes):
            if ASK in box:
                child.link.dataReceived(AmpBox({ANSWER: box[ASK]}).serialize())

    def test_worker_that_answers_nothing_any_more_is_ended_and_another_takes_its_place(self) -> None:
        self.serve()
        hung, other = self.reactor.started
        with capturedLogs() as events:
            for _ in range(PATIENCE):
                self.assertFalse(hung.killed)
                self.answer(other)
                self.reactor.advance(INTERVAL)
        self.assertEqual((hung.killed, other.killed), (True, False))
        self.assertIn(
            "worker 1", [event["worker"] for event in events if "has not answered" in event["log_format"]]
        )
        hung.die()
        self.reactor.advance(0)
        self.assertEqual(self.starts(), 3)

    def test_worker_that_is_slow_to_answer_is_left_alone(self) -> None:
        self.serve()
        for _ in range(4):
            for child in self.reactor.started:
                self.answer(child)
            self.reactor.pump([INTERVAL] * (PATIENCE - 1))
        self.assertEqual([child.killed for child in self.reactor.started], [False, False])

    def test_worker_that_is_to_end_is_not_asked_any_more(self) -> None:
        self.serve()
        self.supervisor.stopService()
        self.reactor.pump([INTERVAL] * PATIENCE)
        self.assertEqual([child.killed for child in self.reactor.started], [False, False])


class StartTests(SupervisorCase):
    def test_server_has_started_once_all_workers_are_ready(self) -> None:
        started = self.start()
        one, other = self.reactor.started
        one.ready()
        self.assertNoResult(started)
        other.ready()
        self.successResultOf(started)

    def test_worker_that_cannot_start_at_the_beginning_says_why_and_is_not_tried_again(self) -> None:
        started = self.start()
        self.newest.die(b"Traceback of something\nllamaproxy: the weights are stale\n")
        complaint = self.failureResultOf(started, CannotServe).getErrorMessage()
        self.assertEqual(complaint, "the weights are stale")
        self.reactor.advance(100)
        self.assertEqual(self.starts(), 2)

    def test_busy_port_is_found_before_any_process_is_started(self) -> None:
        self.supervisor.privilegedStartService()
        self.addCleanup(self.supervisor.stopService)
        with mock.patch("llamaproxy.workers.supervisor.listen", side_effect=OSError(98, "in use")):
            self.supervisor.privilegedStartService()
        self.assertRaises(CannotListenError, self.supervisor.startService)
        self.assertEqual(self.starts(), 0)


class RestartTests(SupervisorCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def wait_for_start(self, seconds: float) -> None:
        """The next start comes after so long, and no sooner."""
        before = self.starts()
        if seconds:
            self.reactor.advance(seconds * 0.99)
            self.assertEqual(self.starts(), before)
        self.reactor.advance(seconds * 0.02)
        self.assertEqual(self.starts(), before + 1)

    def test_worker_that_dies_is_started_again_at_once_and_then_after_longer_and_longer(self) -> None:
        for pause in (0, 0.5, 1, 2, 4):
            self.newest.die()
            self.wait_for_start(pause)
            self.newest.ready()

    def test_worker_that_served_for_long_is_started_again_at_once(self) -> None:
        for _ in range(3):
            self.reactor.advance(HEALTHY)
            self.newest.die()
            self.wait_for_start(0)
            self.newest.ready()

    def test_worker_that_does_not_come_up_five_times_running_ends_the_program(self) -> None:
        self.newest.die()
        with mock.patch("llamaproxy.workers.supervisor.end_program") as end:
            for _ in range(5):
                end.assert_not_called()
                self.reactor.advance(60)
                self.newest.die(b"llamaproxy: no room on the disk\n")
            end.assert_called_once_with(self.reactor, "no room on the disk")
            self.reactor.advance(60)
        self.assertEqual(self.starts(), 2 + 5)

    def test_log_tells_which_worker_ended_and_its_last_words(self) -> None:
        with capturedLogs() as logs:
            self.newest.die(b"Fatal Python error")
        self.assertEqual({event["worker"] for event in logs}, {"worker 2"})
        self.assertIn("Fatal Python error", [event.get("words") for event in logs])


class StopTests(SupervisorCase):
    def test_server_has_stopped_once_all_workers_are_gone_and_none_is_started_again(self) -> None:
        self.serve()
        stopped = self.supervisor.stopService()
        one, other = self.reactor.started
        one.die()
        self.assertNoResult(stopped)
        other.die()
        self.successResultOf(stopped)
        self.reactor.advance(60)
        self.assertEqual(self.starts(), 2)

    def test_worker_that_does_not_serve_yet_is_ended_at_once(self) -> None:
        self.start().addErrback(lambda _: None)
        self.reactor.started[0].ready()
        self.supervisor.stopService()
        self.assertEqual([child.killed for child in self.reactor.started], [False, True])

    def test_worker_that_does_not_end_in_time_is_killed(self) -> None:
        self.serve()
        self.supervisor.stopService()
        self.reactor.advance(29)
        self.assertFalse(self.newest.killed)
        self.reactor.advance(1)
        self.assertTrue(self.newest.killed)

    def test_worker_that_hangs_is_killed_sooner_once_the_operator_hurries(self) -> None:
        self.serve()
        self.supervisor.stopService()
        self.reactor.advance(1)
        for _ in range(2):
            # The second time buys it nothing.
            self.supervisor.hurry()
            self.assertFalse(self.newest.killed)
            self.reactor.advance(5)
        self.assertTrue(self.newest.killed)

    def test_worker_that_waits_for_its_next_start_is_not_waited_for(self) -> None:
        self.serve()
        for _ in range(2):
            self.newest.die()
            self.reactor.advance(0)
        self.reactor.started[0].die()
        self.successResultOf(self.supervisor.stopService())
        self.reactor.advance(60)
        self.assertEqual(self.starts(), 3)
