"""A conversation with tools that begins with one vendor's model and goes on with another's, also after a restart."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.agent import Agent
from llamaproxy.agent.calls.toolbox import Toolbox
from llamaproxy.agent.prompts import PromptFiles
from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.registry import ModelContext, build_models
from llamaproxy.models.upstream.client import Http
from llamaproxy.seams.types import Caller, ChatTurn, Message, Options, Spot, StoredSession
from llamaproxy.store.database import Database
from tests.stores import MemoryStore
from tests.support import Listener, ScriptedTool, immediately

from .anthropic import Anthropic
from .deepseek import DeepSeek
from .gemini import Gemini
from .local import LlamaCpp, LMStudio, Ollama, Vllm
from .mistral import Mistral
from .openai import OpenAI
from .vendor import TOOL, Vendor

VENDORS: tuple[type[Vendor], ...] = (
    OpenAI, Anthropic, Mistral, DeepSeek, Gemini, LMStudio, LlamaCpp, Vllm, Ollama,
)  # fmt: skip
HALF = 6

# What apps ask for, from turn to turn.
WISHES = (
    Options(),
    Options(max_tokens=500, stop=("END",)),
    Options(json_schema={}),
    Options(think="minimal"),
    Options(max_tokens=9000, think=True),
    Options(json_schema={"type": "object", "properties": {"a": {"type": "string"}}}),
)


class Context(ModelContext, frozen=True, kw_only=True):
    """Where every host is a vendor's server in memory."""

    vendors: dict[str, Vendor]

    def http(self, entry: ModelEntry) -> Http:
        return self.vendors[entry.host]


class FileStore(MemoryStore):
    """A store in a file, without its thread."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.database = Database(path, lambda: 0.0)

    def load(self, session_id: str, limit: int) -> Deferred[StoredSession | None]:
        return succeed(self.database.load(session_id, limit))

    def append(
        self, session_id: str, messages: Sequence[Message], after: Spot | None = None
    ) -> Deferred[int]:
        return succeed(self.database.append(session_id, messages, after))

    def close(self) -> Deferred[None]:
        self.database.close()
        return succeed(None)


class MatrixTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.vendors = [vendor() for vendor in VENDORS]
        self.entries = {
            each.name: ModelEntry(type=each.kind, model_id=each.model_id, host=each.host, temperature=0.5)
            for each in self.vendors
        }
        self.start()

    def start(self) -> None:
        """The server starts, or starts again."""
        clock = Clock()
        context: Any = Context(
            reactor=clock,
            environ=lambda name: None,
            home=Home(self.folder),
            vendors={each.host: each for each in self.vendors},
        )
        models = build_models(ModelRegistry(default_model="openai", models=self.entries), context)
        self.store = FileStore(self.folder / "sessions.db")
        self.addCleanup(self.store.close)
        tools = Toolbox([ScriptedTool(TOOL), ScriptedTool("bare", parameters={"type": "object"})])
        self.agent = Agent(
            models, "openai", self.store, PromptFiles(self.folder, immediately), clock, toolbox=tools
        )

    def restart(self) -> None:
        self.store.close()
        self.start()

    def say(self, session: str, text: str, options: Options = WISHES[0]) -> Listener:
        caller = Caller(session_id=session, address="192.168.1.20")
        listener = Listener()
        reply = self.successResultOf(self.agent.turn(caller, ChatTurn(text=text, options=options)))
        reply.deliverTo(listener)
        return listener

    def half(self, session: str, model: str) -> None:
        """Six turns with a model, all of which end well."""
        self.say(session, f"!model {model}")
        for options in WISHES:
            heard = self.say(session, "what time is it?", options)
            self.assertIsNone(heard.error, session)
            self.assertIsNotNone(heard.end, session)
            self.assertIn("answer", heard.text, session)

    def check(self, restart: bool) -> None:
        names = [vendor.name for vendor in self.vendors]
        for one in names:
            for other in names:
                self.half(f"{one}-{other}", one)
        if restart:
            self.restart()
        for one in names:
            for other in names:
                self.half(f"{one}-{other}", other)
        refusals = {vendor.name: len(vendor.refusals) for vendor in self.vendors}
        for vendor in self.vendors:
            told = [str(refused) for refused in vendor.refusals]
            self.assertLessEqual(len(set(told)), 6, told)
            # Each lesson is learned once, by each process.
            self.assertLessEqual(len(told), len(set(told)) * (2 if restart else 1), told)
        for name in names:
            self.half(f"openai-{name}", name)
        self.assertEqual({vendor.name: len(vendor.refusals) for vendor in self.vendors}, refusals)

    def test_all_of_them_go_on_with_each_other(self) -> None:
        self.check(restart=False)

    def test_all_of_them_go_on_after_a_restart(self) -> None:
        self.check(restart=True)
