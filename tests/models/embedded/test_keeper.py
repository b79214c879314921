from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.models.embedded.keeper import Keeper, needed
from llamaproxy.models.embedded.pulse import INTERVAL, PATIENCE
from llamaproxy.models.upstream.upstream import Server
from llamaproxy.seams.errors import ModelError, ModelUnavailable


class Child:
    """One child that the keeper started, seen from the kernel."""

    def __init__(self, protocol: Any) -> None:
        self.protocol = protocol
        self.settings: dict[str, Any] = {}
        self.signals: list[str] = []
        self.gone = False

    def writeToChild(self, fd: int, data: bytes) -> None:
        self.settings = json.decode(data)

    def signalProcess(self, name: str) -> None:
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(name)

    def ready(self) -> None:
        line = b'{"url": "http://127.0.0.1:1/v1"}\n'
        self.protocol.childDataReceived(3, line[:9])
        self.protocol.childDataReceived(3, line[9:])

    def die(self, last_words: bytes = b"") -> None:
        self.gone = True
        if last_words:
            self.protocol.childDataReceived(2, last_words)
        self.protocol.processEnded(Failure(ProcessTerminated(exitCode=1)))


class Kernel(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.children: list[Child] = []

    def spawnProcess(self, protocol: Any, *args: Any, **kwargs: Any) -> None:
        child = Child(protocol)
        self.children.append(child)
        protocol.makeConnection(child)


class PulseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kernel = Kernel()
        self.asked: list[Deferred[None]] = []
        self.keeper = Keeper(self.kernel, "The model", lambda: {"path": "/w"}, self.ask)
        self.keeper.serving()
        self.child.ready()

    @property
    def child(self) -> Child:
        return self.kernel.children[-1]

    def ask(self, url: str) -> Deferred[None]:
        self.assertEqual(url, "http://127.0.0.1:1/v1")
        self.asked.append(Deferred())
        return self.asked[-1]

    def test_child_that_answers_is_asked_again(self) -> None:
        for count in range(1, 5):
            self.kernel.advance(INTERVAL)
            self.assertEqual(len(self.asked), count)
            if count % 2:
                self.asked[-1].callback(None)
            else:
                self.asked[-1].errback(Failure(ConnectionLost()))
        self.assertEqual(self.child.signals, [])

    def test_child_that_hangs_is_ended_and_started_again(self) -> None:
        self.kernel.advance(INTERVAL)
        self.kernel.advance(PATIENCE - 1)
        self.assertEqual(self.child.signals, [])
        self.kernel.advance(1)
        self.assertEqual(self.child.signals, ["KILL"])
        self.child.die()
        self.kernel.advance(1)
        self.assertEqual(len(self.kernel.children), 2)
        self.child.ready()
        self.kernel.advance(INTERVAL)
        self.assertEqual(len(self.asked), 2)

    def test_nobody_is_asked_once_the_child_is_gone(self) -> None:
        for asking in (False, True):
            if asking:
                self.kernel.advance(INTERVAL)
            self.child.die()
            self.kernel.advance(2)
            self.child.ready()
        stopped = self.keeper.stop()
        self.child.die()
        self.successResultOf(stopped)
        self.assertEqual(self.kernel.getDelayedCalls(), [])


class KeeperTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.kernel = Kernel()
        self.keeper = Keeper(self.kernel, "The model", lambda: {"path": "/w"})

    @property
    def child(self) -> Child:
        return self.kernel.children[-1]

    def served(self) -> Child:
        self.keeper.serving()
        self.child.ready()
        return self.child

    def test_all_who_wait_share_one_start(self) -> None:
        waiting = [self.keeper.serving() for _ in range(3)]
        self.child.ready()
        servers = [self.successResultOf(each) for each in waiting]
        self.assertEqual(servers, [Server("http://127.0.0.1:1/v1", self.child.settings["key"])] * 3)
        self.assertEqual((len(self.kernel.children), self.child.settings["path"]), (1, "/w"))

    def test_who_gives_up_waiting_is_forgotten(self) -> None:
        waiting = self.keeper.serving()
        waiting.cancel()
        self.failureResultOf(waiting)
        self.child.ready()
        self.assertTrue(self.keeper.running)

    def test_pause_before_a_restart_doubles_to_half_a_minute(self) -> None:
        self.served()
        for pause in (1, 2, 4, 8, 16, 30, 30):
            started = len(self.kernel.children)
            self.child.die()
            self.kernel.advance(pause - 0.01)
            self.assertEqual(len(self.kernel.children), started)
            self.kernel.advance(0.01)
            self.assertEqual(len(self.kernel.children), started + 1)
            self.child.ready()

    def test_minute_of_health_makes_the_pause_short_again(self) -> None:
        self.served().die()
        self.kernel.advance(1)
        self.child.ready()
        self.kernel.advance(60)
        self.child.die()
        self.kernel.advance(1)
        self.assertEqual(len(self.kernel.children), 3)

    def test_call_during_the_pause_waits_for_the_restart(self) -> None:
        self.served().die()
        waiting = self.keeper.serving()
        self.assertNoResult(waiting)
        self.kernel.advance(1)
        self.child.ready()
        self.successResultOf(waiting)

    def test_each_start_has_a_key_of_its_own(self) -> None:
        first = self.served()
        first.die()
        self.kernel.advance(1)
        self.assertNotEqual(first.settings["key"], self.child.settings["key"])

    def test_child_that_cannot_load_says_why_and_is_not_tried_by_itself(self) -> None:
        waiting = self.keeper.serving()
        self.child.die(b"1 E llama: error loading model: tensor is missing\n2 E giving up\n")
        error = self.failureResultOf(waiting, ModelError).value
        self.assertEqual(str(error), "The model cannot be loaded: tensor is missing")
        self.kernel.advance(100)
        self.assertEqual(len(self.kernel.children), 1)
        self.keeper.serving()
        self.assertEqual(len(self.kernel.children), 2)

    def test_stopping_kills_the_child_and_waits_for_its_end(self) -> None:
        child = self.served()
        stopped = self.keeper.stop()
        self.assertEqual(child.signals, ["KILL"])
        self.assertNoResult(stopped)
        child.protocol.processEnded(Failure(ProcessTerminated(signal=9)))
        self.successResultOf(stopped)

    def test_nothing_starts_after_stopping(self) -> None:
        self.served().die()
        self.successResultOf(self.keeper.stop())
        self.failureResultOf(self.keeper.serving(), ModelUnavailable)
        self.kernel.advance(100)
        self.assertEqual((len(self.kernel.children), self.kernel.getDelayedCalls()), (1, []))


class EnvironmentTests(SynchronousTestCase):
    def test_child_gets_what_it_needs_and_nobodys_key(self) -> None:
        kept = {
            "PATH": "/bin",
            "HOME": "/u",
            "LC_ALL": "C",
            "OMP_NUM_THREADS": "2",
            "CUDA_VISIBLE_DEVICES": "0",
        }
        others = {
            "OPENAI_API_KEY": "k",
            "LLAMA_API_KEY": "k",
            "DB_PASSWORD": "k",
            "AWS_PROFILE": "x",
            "HF_TOKEN": "k",
        }
        self.assertEqual(needed({**kept, **others}), kept)
