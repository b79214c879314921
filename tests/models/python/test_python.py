import threading
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from llamaproxy.config import ConfigError, Home, ModelEntry, ModelRegistry
from llamaproxy.models.python.flow import ROOM
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.seams.errors import ModelError, ModelTimeout
from llamaproxy.seams.interfaces import IModel
from llamaproxy.seams.types import Message, ModelRequest, Reasoning, Text

from .. import agents
from ..fakes import Listener, Network

REQUEST = ModelRequest(
    messages=[
        Message(role="system", content="Be kind"),
        Message(role="user", content="hi"),
        Message(role="assistant", content="hello"),
        Message(role="user", content="what now?"),
    ],
    session_id="llama-10.0.0.1",
)


async def until(condition: Any) -> None:
    """Returns once `condition()` holds; the test's own timeout bounds it."""
    while not condition():
        await deferLater(reactor, 0.01)


def build(name: str, home: Home, clock: Any = reactor, **fields: Any) -> IModel:
    entry = ModelEntry(**{"type": "PYTHON", "model_id": name, **fields})
    context = model_context(clock, lambda name: None, home)
    return build_models(ModelRegistry(default_model="m", models={"m": entry}), context)["m"]


class PythonTestCase(TestCase):
    timeout = 10

    def setUp(self) -> None:
        for seen in (agents.counted, agents.ended, agents.threads):
            seen.clear()

    async def model(self, name: str, **fields: Any) -> IModel:
        model = build(f"tests.models.agents:{name}", Home(Path("/nowhere")), **fields)
        self.addCleanup(model.stop)
        await model.start()
        return model

    async def heard(self, name: str, **fields: Any) -> Listener:
        listener = Listener()
        await (await self.model(name, **fields)).chat(REQUEST, listener)
        return listener

    async def error_of(self, name: str, **fields: Any) -> str:
        model = await self.model(name, **fields)
        with self.assertRaises(ModelError) as caught:
            await model.chat(REQUEST, Listener())
        return str(caught.exception)


class KindTests(PythonTestCase):
    async def test_async_generator_streams_text_and_thoughts(self) -> None:
        listener = await self.heard("stream")
        deltas = [delta for segment in listener.segments for delta in segment]
        self.assertEqual(deltas, [Reasoning("hm"), Text("what now? of "), Text("llama-10.0.0.1")])

    async def test_async_function_answers_at_once(self) -> None:
        self.assertEqual((await self.heard("answer")).text, "WHAT NOW?")

    async def test_plain_function_gets_the_conversation(self) -> None:
        listener = await self.heard("plain")
        self.assertEqual(listener.text, "user: hi / assistant: hello / user: what now?")

    async def test_generator_streams_and_has_its_settings_and_depth(self) -> None:
        listener = await self.heard("words", extra={"mark": "!"})
        self.assertEqual(listener.text, "what now? !0")
        listener, model = Listener(), await self.model("words")
        await model.chat(replace(REQUEST, depth=2), listener)
        self.assertEqual(listener.text, "what now? 2")

    async def test_limit_of_the_request_beats_that_of_the_entry(self) -> None:
        model = await self.model("forever")
        with self.assertRaisesRegex(ModelTimeout, "after 0.1 seconds"):
            await model.chat(replace(REQUEST, timeout=0.1), Listener())

    async def test_function_may_make_the_stream(self) -> None:
        self.assertEqual((await self.heard("makes_a_stream")).text, "from inside")

    async def test_object_may_be_the_agent(self) -> None:
        self.assertEqual((await self.heard("assistant")).text, "Be kind: what now?")

    async def test_nothing_runs_on_the_reactors_thread_and_a_generator_in_one_only(self) -> None:
        for name in ("stream", "plain", "words"):
            agents.threads.clear()
            await self.heard(name)
            self.assertNotIn(threading.get_ident(), agents.threads)
            self.assertEqual(len(set(agents.threads)), 1)

    async def test_agent_that_blocks_does_not_hold_the_reactor(self) -> None:
        agents.blocking.clear()
        agents.released.clear()
        model = await self.model("blocks")
        listener = Listener()
        done = model.chat(REQUEST, listener)
        await until(agents.blocking.is_set)
        agents.released.set()
        await done
        self.assertEqual(listener.text, "let go")


class FlowTests(PythonTestCase):
    async def test_agent_waits_while_the_reply_is_held_and_nothing_is_lost(self) -> None:
        for name in ("count", "count_plainly"):
            agents.counted.clear()
            model = await self.model(name)
            listener = Listener(holding=True)
            done = model.chat(REQUEST, listener)
            await until(lambda: len(agents.counted) >= ROOM)
            await deferLater(reactor, 0.1)
            self.assertLessEqual(len(agents.counted), ROOM + 1)
            self.assertEqual(listener.segments, [])
            listener.release()
            await done
            self.assertEqual(listener.text, "".join(f"{number} " for number in range(1000)))

    async def test_client_that_leaves_ends_the_agent(self) -> None:
        model = await self.model("forever")
        listener = Listener()
        done = model.chat(REQUEST, listener)
        await until(lambda: listener.text)
        done.cancel()
        self.failureResultOf(done, CancelledError)
        await until(lambda: agents.ended)
        self.assertIsNone(listener.producer)

    async def test_client_that_leaves_while_it_holds_the_reply_ends_the_agent(self) -> None:
        for name in ("count", "count_plainly"):
            model = await self.model(name)
            done = model.chat(REQUEST, Listener(holding=True))
            await until(lambda: len(agents.counted) >= ROOM)
            done.cancel()
            self.failureResultOf(done, CancelledError)
            await until(lambda: name in agents.ended)  # noqa: B023  # awaited before the next round
            agents.counted.clear()

    async def test_stopping_ends_what_runs(self) -> None:
        model = await self.model("forever")
        listener = Listener()
        done = model.chat(REQUEST, listener)
        await until(lambda: listener.text)
        await model.stop()
        self.assertEqual(agents.ended, ["forever"])
        self.failureResultOf(done, ModelError)

    async def test_silence_is_bounded(self) -> None:
        with self.assertRaises(ModelTimeout):
            await self.heard("silent", first_token_timeout=0.1)
        with self.assertRaises(ModelTimeout):
            await self.heard("forever", idle_timeout=0.1)
        await until(lambda: agents.ended)


class FailureTests(PythonTestCase):
    async def test_exception_is_the_models_error_and_logged(self) -> None:
        self.assertEqual(await self.error_of("fails"), "The agent 'm' failed: no such city")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_exceptions_that_mean_something_to_the_loop_do_no_harm(self) -> None:
        words = {
            "gives_up": "CancelledError",
            "leaves": "it called for SystemExit",
            "stops": "it raised StopIteration",
            "number": "an agent says str or Reasoning, not int",
        }
        for name, said in words.items():
            self.assertEqual(await self.error_of(name), f"The agent 'm' failed: {said}")
        self.flushLoggedErrors()

    async def test_what_fails_to_import_names_file_and_key(self) -> None:
        model = build("tests.models.agents:nobody", Home(Path("/nowhere")))
        self.addCleanup(model.stop)
        with self.assertRaises(ModelError) as caught:
            await model.start()
        self.assertIn(
            "/nowhere/llm-models.json: models.m.model_id: cannot be imported: AttributeError:",
            str(caught.exception),
        )
        with self.assertRaises(ModelError):
            await model.chat(REQUEST, Listener())
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 2)

    async def test_agent_in_the_home_folder_is_found(self) -> None:
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        (home / "agent_of_this_home.py").write_text("def reply(text):\n    return text[::-1]\n")
        model = build("agent_of_this_home:reply", Home(home))
        self.addCleanup(model.stop)
        await model.start()
        listener = Listener()
        await model.chat(REQUEST, listener)
        self.assertEqual(listener.text, "?won tahw")


class EntryTests(SynchronousTestCase):
    def refusal(self, name: str) -> str:
        return str(self.assertRaises(ConfigError, build, name, Home(Path("/nowhere")), Network().clock))

    def test_name_that_is_none_is_refused_before_anything_starts(self) -> None:
        for name in ("agents", "agents:", ":reply", "a b:reply", "../agents:reply"):
            self.assertIn("models.m.model_id: expected package.module:attribute", self.refusal(name))

    def test_module_that_does_not_exist_is_refused_before_anything_starts(self) -> None:
        self.assertIn(
            "/nowhere/llm-models.json: models.m.model_id: there is no module nowhere_at_all",
            self.refusal("nowhere_at_all.agents:reply"),
        )

    def test_entry_is_a_model(self) -> None:
        model = build("tests.models.agents:answer", Home(Path("/nowhere")), Network().clock)
        self.assertTrue(verifyObject(IModel, model))
        self.assertFalse(model.info().loaded)
        self.successResultOf(model.stop())
