"""The embedded model for real: llama.cpp in a child process, with the weights that `agentctl model-pull` gets."""

import os
import re
import signal
import sys
from operator import mul
from pathlib import Path
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.embedded import pulse
from llamaproxy.models.embedded.keeper import SCRIPT
from llamaproxy.models.registry import build_embedders, build_models, model_context
from llamaproxy.seams.errors import ContextTooLong, ModelError, ModelUnavailable
from llamaproxy.seams.interfaces import IEmbedder, IModel
from llamaproxy.seams.types import Message, ModelRequest, Options
from tests.machine import NO_WEIGHTS, WEIGHTS, children, command_of, until

from ..fakes import HELLO, Listener

reactor: Any = installed_reactor


CONTEXT = model_context(reactor, lambda name: None, Home(Path("home")))


def local_model(path: Path | str, **fields: Any) -> IModel:
    entry = ModelEntry(type="LOCAL", model_id=str(path), context_length=512, **fields)
    return build_models(ModelRegistry(default_model="m", models={"m": entry}), CONTEXT)["m"]


def local_embedder(path: Path | str) -> IEmbedder:
    entry = ModelEntry(type="LOCAL", model_id=str(path), context_length=512, embedding=True)
    return build_embedders(ModelRegistry(default_model="m", models={"m": entry}), CONTEXT)["m"]


class Teller(Listener):
    """Fires `begun` at the first delta."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: Deferred[None] = Deferred()

    def deltasReceived(self, deltas: Any) -> None:
        super().deltasReceived(deltas)
        if not self.begun.called:
            self.begun.callback(None)


STORY = ModelRequest(
    messages=[Message(role="user", content="Tell me a long story.")], options=Options(max_tokens=400)
)


def own_models() -> list[int]:
    """The models' processes of this one, which has other children too: a database that other tests have started."""
    return [child for child in children(os.getpid()) if SCRIPT.name in command_of(child)]


class LocalCase(TestCase):
    skip = NO_WEIGHTS
    timeout = 60

    def setUp(self) -> None:
        self.addCleanup(CONTEXT.close)


class LocalEmbedderTests(LocalCase):
    async def test_embeddings_of_alike_texts_lie_closer_than_those_of_others(self) -> None:
        embedder = local_embedder(WEIGHTS)
        self.addCleanup(embedder.stop)
        texts = ["The cat sat on the mat.", "A cat is sitting on a mat.", "def main(): return 0x7f"]
        answer = await embedder.embed(texts)
        self.assertGreater(answer.prompt_tokens, 3)
        one, alike, other = answer.vectors
        self.assertGreater(sum(map(mul, one, alike)), sum(map(mul, one, other)))


class ToolTests(LocalCase):
    async def test_weights_whose_template_knows_no_tools_are_told_of_them_in_words(self) -> None:
        model = local_model(WEIGHTS)
        self.addCleanup(model.stop)
        question = [Message(role="user", content="What time is it?")]
        tool = {"name": "clock", "description": "The time of day.", "parameters": {"type": "object"}}
        counts = []
        for tools in ([], [tool]):
            asked = ModelRequest(messages=question, tools=tools, options=Options(max_tokens=1))
            result = await model.chat(asked, Listener())
            assert result.usage is not None
            counts.append(result.usage.prompt_tokens)
        self.assertGreater(counts[1], counts[0] + 50)


class LocalModelTests(LocalCase):
    def model(self, path: Path | str = WEIGHTS, **fields: Any) -> IModel:
        model = local_model(path, **fields)
        self.addCleanup(model.stop)
        return model

    async def test_first_messages_share_one_start_and_are_answered(self) -> None:
        model = self.model(max_tokens=8)
        await model.start()
        self.assertFalse(model.info().loaded)
        listeners = [Listener(), Listener()]
        results = await gatherResults([model.chat(HELLO, listener) for listener in listeners])
        for listener, result in zip(listeners, results, strict=True):
            self.assertTrue(listener.text)
            self.assertGreater(result.load_seconds, 0)
            assert result.usage is not None
            self.assertGreater(result.usage.completion_tokens, 0)
        self.assertTrue(model.info().loaded)
        self.assertEqual(len(own_models()), 1)
        self.assertLess((await model.chat(HELLO, Listener())).load_seconds, 0.1)

    async def test_small_weights_do_not_say_the_same_sentence_again_and_again(self) -> None:
        said: dict[str, list[str]] = {}
        for name, extra in (("as it is", {}), ("unhindered", {"repeat_penalty": 1.0, "dry_multiplier": 0.0})):
            model = local_model(WEIGHTS, temperature=0.0, extra=extra)
            self.addCleanup(model.stop)
            listener = Listener()
            await model.chat(STORY, listener)
            said[name] = [
                line.strip() for line in re.split(r"[.!?\n]", listener.text) if len(line.strip()) > 12
            ]
        most = {name: max(map(sentences.count, sentences)) for name, sentences in said.items()}
        self.assertGreater(most["unhindered"], 2)
        self.assertLessEqual(most["as it is"], 2)

    async def test_weights_are_described_before_they_are_loaded(self) -> None:
        model = self.model()
        await model.start()
        info = model.info()
        self.assertEqual(info.size, WEIGHTS.stat().st_size)
        self.assertTrue(info.family and info.quantization)
        self.assertEqual(info.context_length, 512)

    async def test_eager_model_loads_without_being_asked(self) -> None:
        model = self.model(start="eager")
        await model.start()
        self.assertFalse(model.info().loaded)
        await until(lambda: model.info().loaded)

    async def test_prompt_over_the_context_is_refused_with_its_numbers(self) -> None:
        model = self.model()
        request = ModelRequest(messages=[Message(role="user", content="word " * 2000)])
        with self.assertRaises(ContextTooLong) as caught:
            await model.chat(request, Listener())
        self.assertEqual(caught.exception.context_length, 512)
        self.assertGreater(caught.exception.prompt_tokens, 2000)

    async def test_child_that_dies_is_started_again(self) -> None:
        model = self.model(max_tokens=8)
        await model.chat(HELLO, Listener())
        (first,) = own_models()
        os.kill(first, signal.SIGKILL)
        # Sent to a child that is about to be gone: tried once more, which waits for the new one.
        listener = Listener()
        await model.chat(HELLO, listener)
        self.assertTrue(listener.text)
        self.assertNotEqual(own_models(), [first])

    async def test_child_that_hangs_is_ended_and_started_again(self) -> None:
        self.patch(pulse, "INTERVAL", 0.2)
        self.patch(pulse, "PATIENCE", 2.0)
        model = self.model(max_tokens=8)
        await model.chat(HELLO, Listener())
        (first,) = own_models()
        os.kill(first, signal.SIGSTOP)
        # It breaks off with the child, which is tried once more.
        listener = Listener()
        await model.chat(HELLO, listener)
        self.assertTrue(listener.text)
        self.assertNotEqual(own_models(), [first])

    async def test_child_that_dies_in_the_middle_breaks_the_call_off(self) -> None:
        model = self.model()
        teller = Teller()
        done = model.chat(STORY, teller)
        await teller.begun
        os.kill(own_models()[0], signal.SIGKILL)
        with self.assertRaises(ModelError) as caught:
            await done
        self.assertIn("broke off in the middle", str(caught.exception))

    async def test_signals_to_the_whole_group_are_left_to_the_server(self) -> None:
        model = self.model(max_tokens=8)
        await model.chat(HELLO, Listener())
        (child,) = own_models()
        os.kill(child, signal.SIGINT)
        os.kill(child, signal.SIGTERM)
        await model.chat(HELLO, Listener())
        self.assertEqual(own_models(), [child])

    async def test_stopping_leaves_no_process_and_starts_none(self) -> None:
        model = local_model(WEIGHTS, max_tokens=8)
        await model.chat(HELLO, Listener())
        await model.stop()
        self.assertEqual(own_models(), [])
        with self.assertRaises(ModelUnavailable):
            await model.chat(HELLO, Listener())

    async def test_stopping_while_loading_leaves_no_process(self) -> None:
        model = local_model(WEIGHTS, start="eager")
        await model.start()
        await model.stop()
        self.assertEqual(own_models(), [])

    async def test_damaged_weights_fail_with_llama_cpps_own_words(self) -> None:
        damaged = Path(self.mktemp()).absolute()
        damaged.write_bytes(WEIGHTS.read_bytes()[:3_000_000])
        with self.assertRaises(ModelError) as caught:
            await self.model(damaged).chat(HELLO, Listener())
        self.assertIn("cannot be loaded: tensor", str(caught.exception))
        self.flushLoggedErrors()


class NoWeightsTests(TestCase):
    async def test_missing_weights_say_how_to_get_them(self) -> None:
        model = local_model("smollm2")
        remedy = "are missing; run: agentctl model-pull smollm2"
        for attempt, words in (
            (model.start, f"models/smollm2.gguf {remedy}"),
            # Where they would lie is not for whoever asks.
            (lambda: model.chat(HELLO, Listener()), f": its weights {remedy}"),
        ):
            with self.assertRaises(ModelError) as caught:
                await attempt()
            self.assertIn(words, str(caught.exception))

    async def test_what_is_not_weights_is_refused_at_the_start(self) -> None:
        path = Path(self.mktemp()).absolute()
        path.write_text("<html>")
        with self.assertRaises(ModelError) as caught:
            await local_model(path).start()
        self.assertIn("it is not a GGUF file", str(caught.exception))


PARENT = """
import sys
from twisted.internet import reactor
from tests.models.embedded.test_local import STORY, Teller, local_model
model, teller = local_model(sys.argv[1]), Teller()
model.chat(STORY, teller)
teller.begun.addCallback(lambda _: print("generating", flush=True))
reactor.run()
"""


class Parent(ProcessProtocol):
    """A process with an embedded model; `generating` fires in the middle of its reply."""

    def __init__(self) -> None:
        self.generating: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.generating.callback(None)

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class OrphanTests(TestCase):
    skip = NO_WEIGHTS
    timeout = 60

    async def test_killing_the_parent_in_the_middle_of_a_reply_leaves_no_orphan(self) -> None:
        parent = Parent()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        arguments = [sys.executable, "-c", PARENT, str(WEIGHTS)]
        process = reactor.spawnProcess(parent, sys.executable, arguments, environment)
        await parent.generating
        (child,) = children(process.pid)
        process.signalProcess("KILL")
        await parent.ended
        await until(lambda: not Path(f"/proc/{child}").exists())
