import os
import sys
from pathlib import Path
from unittest import mock

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from llamaproxy import plugins
from llamaproxy.config import ConfigError, Home, ModelEntry, ModelRegistry
from llamaproxy.config.dropins import DropIns
from llamaproxy.models.registry import ModelContext, build_embedders, build_models, model_context
from llamaproxy.seams.interfaces import IDeltaReceiver, IModel

from .fakes import HELLO, Listener, Network


def registry(**kinds: str) -> ModelRegistry:
    entries = {
        key: ModelEntry(type=kind, model_id="tiny", host="http://127.0.0.1:1/v1")
        for key, kind in kinds.items()
    }
    return ModelRegistry(default_model="", models=entries)


# A whole back end of a stranger's, in a file that they drop in.
PLUGIN = """
from twisted.internet.defer import succeed
from twisted.plugin import IPlugin
from zope.interface import implementer

from llamaproxy.seams.interfaces import IModel, IModelType
from llamaproxy.seams.types import ModelInfo, ModelResult, Text


@implementer(IModel)
class Shouting:
    def __init__(self, key, entry):
        self._info = ModelInfo(key=key, model_id=entry.model_id, kind=entry.type)

    def info(self):
        return self._info

    def start(self):
        return succeed(None)

    def stop(self):
        return succeed(None)

    def chat(self, request, receiver):
        receiver.deltasReceived([Text(request.messages[-1].content.upper())])
        return succeed(ModelResult())


@implementer(IPlugin, IModelType)
class ShoutingType:
    name = "SHOUTING"

    def build(self, key, entry, context):
        return Shouting(key, entry)


shouting = ShoutingType()
"""


class RegistryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.context: ModelContext = model_context(Network().clock, lambda name: None, Home(Path("/nowhere")))

    def test_every_built_in_type_is_a_model(self) -> None:
        kinds = {"a": "OPENAI", "b": "OLLAMA", "c": "LOCAL", "d": "ANTHROPIC", "e": "AGENT"}
        models = build_models(registry(**kinds), self.context)
        for model in models.values():
            verifyObject(IModel, model)
        self.assertEqual([model.info().kind for model in models.values()], list(kinds.values()))
        verifyObject(IDeltaReceiver, Listener())

    def test_a_model_elsewhere_is_as_old_as_the_file_that_names_it(self) -> None:
        home = Home(Path(self.mktemp()))
        home.ensure()
        os.utime(home.models_file, (1_700_000_000, 1_700_000_000))
        context = model_context(Network().clock, lambda name: None, home)
        for model in build_models(registry(a="OPENAI", b="OLLAMA", c="ANTHROPIC"), context).values():
            self.assertEqual(model.info().modified_at, 1_700_000_000)

    def test_disabled_entries_are_left_out(self) -> None:
        entry = ModelEntry(type="NONSENSE", model_id="x", enabled=False)
        self.assertEqual(build_models(ModelRegistry(default_model="", models={"x": entry}), self.context), {})

    def test_plugins_are_not_looked_for_when_the_built_in_types_do(self) -> None:
        with mock.patch("llamaproxy.models.registry.drop_ins", side_effect=AssertionError):
            build_models(registry(a="OPENAI"), self.context)

    def test_type_of_a_plugin_builds_its_model(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "shouting_type.py").write_text(PLUGIN)
        plugins.__path__.append(str(folder))
        self.addCleanup(plugins.__path__.remove, str(folder))
        self.addCleanup(sys.modules.pop, "llamaproxy.plugins.shouting_type", None)
        model = build_models(registry(e="SHOUTING"), self.context)["e"]
        self.assertTrue(verifyObject(IModel, model))
        listener = Listener()
        self.successResultOf(model.chat(HELLO, listener))
        self.assertEqual((listener.text, model.info().model_id), ("HELLO", "tiny"))

    def test_unknown_type_names_the_key_and_the_types_that_exist(self) -> None:
        error = self.assertRaises(ConfigError, build_models, registry(x="LLAMMA"), self.context)
        self.assertRegex(
            str(error),
            "^/nowhere/llm-models.json: models.x.type: expected .*LOCAL or OLLAMA or OPENAI.*, got 'LLAMMA'. ",
        )

    def test_only_the_model_that_is_needed_must_be_there(self) -> None:
        models = registry(good="OPENAI", typo="OPENAPI")
        with capturedLogs() as log:
            self.assertEqual(list(build_models(models, self.context, "good")), ["good"])
        (line,) = (formatEvent(event) for event in log)
        self.assertRegex(line, "^model 'typo' is left out: .*: models.typo.type: expected .*, got 'OPENAPI'")
        self.assertRaises(ConfigError, build_models, models, self.context, "typo")

    def test_plugin_that_fails_is_left_out_like_an_unknown_type(self) -> None:
        failing = mock.Mock(build=mock.Mock(side_effect=KeyError("settings")))
        failing.name = "FAILING"
        models = registry(good="OPENAI", bad="FAILING")
        with mock.patch("llamaproxy.models.registry.drop_ins", return_value=DropIns([failing], {})):
            self.assertEqual(list(build_models(models, self.context, "good")), ["good"])
            error = self.assertRaises(ConfigError, build_models, models, self.context, "bad")
        self.assertIn("models.bad: type FAILING cannot make a model of it: 'settings'", str(error))

    def test_type_without_embeddings_cannot_be_asked_for_them(self) -> None:
        entry = ModelEntry(type="ANTHROPIC", model_id="x", host="http://127.0.0.1:1", embedding=True)
        models = ModelRegistry(default_model="", models={"x": entry})
        error = self.assertRaises(ConfigError, build_embedders, models, self.context)
        self.assertIn("models.x.embedding: type ANTHROPIC makes no embeddings", str(error))


class ConnectTests(SynchronousTestCase):
    def test_addresses_and_localhost_are_connected_to_without_a_lookup(self) -> None:
        for host in ("127.0.0.1", "localhost", "[::1]"):
            network = Network()
            model = network.model(host=f"http://{host}:99/v1", connect_timeout=3)
            model.chat(HELLO, Listener())
            address, port, _, timeout, _ = network.clock.tcpClients[0]
            self.assertEqual(
                (address, port, timeout), (host.strip("[]").replace("localhost", "127.0.0.1"), 99, 3)
            )
