"""A turn with tools over real HTTP, from an app's request to a model server and back, in both dialects.

Three rounds: two calls at the same time, then one that its gate refuses beside one that fails, then one that
does not answer in time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import treq
from msgspec import json
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from llamaproxy.agent.agent import Agent
from llamaproxy.agent.calls.toolbox import Toolbox
from llamaproxy.agent.prompts import PromptFiles
from llamaproxy.agent.sessions.limits import Limits
from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.seams.errors import ToolError
from llamaproxy.seams.types import Access, Message, ToolContext
from llamaproxy.store.sqlite import SqliteSessionStore
from llamaproxy.web.guard import Guard
from llamaproxy.web.routes import Routes
from llamaproxy.web.site import FrontSite
from tests.support import Front, House, ScriptedTool
from tests.web.sockets import reactor
from tests.web.test_routes import OLLAMA, OPENAI, ask

Calls = Sequence[tuple[str, str]]

ANSWERS: list[str | Calls] = [
    [("weather", '{"zone": "Rome"}'), ("weather", '{"zone": "Oslo"}')],
    [("delete", "{}"), ("broken", "{}")],
    [("slow", "{}")],
    "Rome is warmer.",
]


class ModelServer(Resource):
    """An OpenAI-compatible server that gives the scripted answers one after another, as event streams."""

    isLeaf = True

    def __init__(self, answers: Sequence[str | Calls] = ANSWERS) -> None:
        super().__init__()
        self.answers = answers
        self.requests: list[Any] = []
        self.depths: list[str | None] = []

    def render_POST(self, request: Any) -> bytes:
        self.requests.append(json.decode(request.content.read()))
        self.depths.append(request.getHeader("x-llamaproxy-depth"))
        answer = self.answers[len(self.requests) - 1]
        request.setHeader(b"content-type", b"text/event-stream")
        if isinstance(answer, str):
            deltas: list[Any] = [{"content": answer[:5]}, {"content": answer[5:]}]
        else:
            deltas = [
                {"tool_calls": [{"index": at, "id": f"c{at}", "function": {"name": name, "arguments": text}}]}
                for at, (name, text) in enumerate(answer)
            ]
        choices = [{"delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"delta": {}, "finish_reason": "stop" if isinstance(answer, str) else "tool_calls"})
        frames = [b"data: " + json.encode({"choices": [choice]}) + b"\n\n" for choice in choices]
        return b"".join([*frames, b"data: [DONE]\n\n"])


class Weather(ScriptedTool):
    """Takes a while, and notes how many of its calls ran at the same time."""

    def __init__(self) -> None:
        super().__init__("weather")
        self.at_once = self.most_at_once = 0

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[Any]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        return deferLater(context.reactor, 0.02, self._done, arguments["zone"])

    def _done(self, zone: str) -> str:
        self.at_once -= 1
        return f"{zone}: sunny"


class Broken(ScriptedTool):
    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[Any]:
        return fail(ToolError("the disk is on fire"))


class ToolTurnTests(TestCase):
    timeout = 20

    async def setUp(self) -> None:  # type: ignore[override]
        self.server, self.weather = ModelServer(), Weather()
        slow = ScriptedTool("slow", held=True)
        slow.timeout = 0.05
        delete = ScriptedTool("delete", "files", access=Access(operation="write"))
        self.tools = [self.weather, delete, Broken("broken"), slow]
        host = f"http://127.0.0.1:{await self.listen(Site(self.server))}/v1"
        home = Home(Path(self.mktemp()).absolute())
        home.path.mkdir()
        entry = ModelEntry(type="OPENAI", model_id="tiny", host=host)
        context = model_context(reactor, lambda name: None, home)
        self.addCleanup(context.close)
        models = build_models(ModelRegistry(default_model="main", models={"main": entry}), context)
        self.store = SqliteSessionStore(home.sessions_db, reactor)
        await self.store.open()
        self.addCleanup(self.store.close)
        agent = Agent(
            models, "main", self.store, PromptFiles(home.path), reactor, toolbox=Toolbox(self.tools)
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(agent.stop()))
        guard = Guard()
        self.port = await self.listen(FrontSite(Routes(agent, guard, reactor), guard, reactor))

    async def listen(self, site: Any) -> int:
        port: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(site)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def post(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        body = json.encode(ask("where is it warmer?", stream=True))
        response = await treq.post(url, body, persistent=False)
        return bytes(await treq.content(response))

    def check(self, text: str, thoughts: str) -> None:
        """What the user reads, and what the model was told."""
        self.assertEqual(
            text, "[delete was refused. To allow it: !autogate delete write true]\n\nRome is warmer."
        )
        for tag in ('[weather {"zone": "Rome"}]', "[weather: Oslo: sunny]", "[broken: The tool failed: "):
            self.assertIn(tag, thoughts)
        self.assertEqual((self.weather.most_at_once, self.tools[1].calls), (2, []))
        results = [m["content"] for m in self.server.requests[-1]["messages"] if m["role"] == "tool"]
        self.assertEqual(results[:2], ["Rome: sunny", "Oslo: sunny"])
        self.assertIn("refused", results[2])
        self.assertEqual(results[3], "The tool failed: the disk is on fire")
        self.assertIn("did not answer within 0.05 seconds", results[4])

    async def check_history(self) -> None:
        stored = await self.store.load("llama-127.0.0.1", 100)
        assert stored is not None
        self.assertEqual(
            [_outline(message) for message in stored.messages],
            ["user", "calls 2", "tool", "tool", "calls 2", "tool", "tool", "calls 1", "tool", "assistant"],
        )
        self.assertEqual(stored.messages[-1].content, "Rome is warmer.")

    async def test_reply_reads_well_in_ollamas_dialect_and_the_history_holds_it_all(self) -> None:
        self.check(*read_ollama(await self.post(OLLAMA)))
        await self.check_history()

    async def test_reply_reads_well_in_openais_dialect_and_the_history_holds_it_all(self) -> None:
        self.check(*read_openai(await self.post(OPENAI)))
        await self.check_history()


class ApprovalTests(SynchronousTestCase):
    def test_question_is_asked_and_answered_in_both_dialects_with_a_restart_in_between(self) -> None:
        for path in (OLLAMA, OPENAI):
            drop = ScriptedTool("drop", "db", access=Access(operation="write", writes=("users",)))
            house = House(folder=Path(self.mktemp()), limits=Limits(gate_mode="ask"), tools=[drop])
            self.addCleanup(house.close)
            wire = Front(house).connect().send("POST", path, ask("drop them", stream=False))
            house.calls[0].call_tools(("drop", "{}"))
            question = content(wire.response().json())
            code = question.partition("!yes ")[2][:4]
            self.assertIn("write table users", question)
            house.agent = house.new_agent()
            wire = Front(house).connect().send("POST", path, ask(f"!yes {code}", stream=False))
            house.calls[1].answer("They are gone.")
            self.assertEqual((content(wire.response().json()), len(drop.calls)), ("They are gone.", 1))


def read_ollama(body: bytes) -> tuple[str, str]:
    """Answer and thoughts of a stream that ends once."""
    lines = [json.decode(line) for line in body.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    messages = [line["message"] for line in lines]
    return (
        "".join(message["content"] for message in messages),
        "".join(message.get("thinking", "") for message in messages),
    )


def read_openai(body: bytes) -> tuple[str, str]:
    """Answer and thoughts of a stream that ends once, and well."""
    frames = body.decode().split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    choices = [json.decode(frame.removeprefix("data: "))["choices"][0] for frame in frames[:-2]]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]
    deltas = [choice["delta"] for choice in choices]
    return (
        "".join(delta.get("content", "") for delta in deltas),
        "".join(delta.get("reasoning_content", "") for delta in deltas),
    )


def content(body: Any) -> str:
    """The answer in a whole reply of either dialect."""
    message = body["message"] if "message" in body else body["choices"][0]["message"]
    return str(message["content"])


def _outline(message: Message) -> str:
    return f"calls {len(message.tool_calls)}" if message.tool_calls else message.role
