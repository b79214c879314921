"""Turns in which our model asks other agents, over real HTTP: remote agents, and a second server of our own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import treq
from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.server import Site

from llamaproxy.agent.agent import Agent
from llamaproxy.agent.calls.delegation import Delegation
from llamaproxy.agent.prompts import PromptFiles
from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.store.sqlite import SqliteSessionStore
from llamaproxy.web.guard import Guard
from llamaproxy.web.routes import Routes
from llamaproxy.web.site import FrontSite
from tests.models.agent_server import RemoteAgentServer
from tests.test_tool_turn import Calls, ModelServer, read_ollama, read_openai
from tests.web.sockets import Peer, post, reactor
from tests.web.test_routes import OLLAMA, OPENAI, ask

GATES = {"tools": {"agent_call": {"write": True}, "llm_call": {"write": True}}}


class OurServer:
    """A server of ours whose model gives scripted answers; `others` are the entries that it may ask."""

    def __init__(self, case: TestCase, answers: Sequence[str | Calls]) -> None:
        self.case = case
        self.model = ModelServer(answers)
        self.home = Home(Path(case.mktemp()).absolute())
        self.home.path.mkdir()

    async def start(self, **others: ModelEntry) -> None:
        site = Site(self.model)
        host = f"http://127.0.0.1:{await listen(self.case, site)}/v1"
        entries = {"main": ModelEntry(type="OPENAI", model_id="tiny", host=host), **others}
        context = model_context(reactor, lambda name: None, self.home)
        self.case.addCleanup(context.close)
        models = build_models(ModelRegistry(default_model="main", models=entries), context)
        self.store = SqliteSessionStore(self.home.sessions_db, reactor)
        await self.store.open()
        self.case.addCleanup(self.store.close)
        for model in models.values():
            self.case.addCleanup(model.stop)
        agent = Agent(
            models,
            "main",
            self.store,
            PromptFiles(self.home.path),
            reactor,
            gate_defaults=GATES,
            delegation=Delegation(dict.fromkeys(others, True)),
        )
        self.case.addCleanup(lambda: Deferred.fromCoroutine(agent.stop()))
        guard = Guard()
        self.port = await listen(self.case, FrontSite(Routes(agent, guard, reactor), guard, reactor))

    async def post(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        response = await treq.post(url, json.encode(ask("when is it?", stream=True)), persistent=False)
        return bytes(await treq.content(response))

    @property
    def results(self) -> list[str]:
        """What the model was told last of the tools that it called."""
        return [m["content"] for m in self.model.requests[-1]["messages"] if m["role"] == "tool"]


async def listen(case: TestCase, site: Any) -> int:
    port: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(site)
    case.addCleanup(port.stopListening)
    return int(port.getHost().port)


class RemoteAgentTests(TestCase):
    timeout = 20

    async def remote(self, script: Any) -> tuple[RemoteAgentServer, ModelEntry]:
        server = RemoteAgentServer(script)
        port = await server.listen()
        self.addCleanup(port.stopListening)
        return server, ModelEntry(type="AGENT", model_id="default", host=server.url)

    async def check_both_at_once(self, path: str, read: Any) -> None:
        """Two agents are asked in one round, and neither answers before both have heard."""
        heard: list[RemoteAgentServer] = []

        def script(agent: RemoteAgentServer, text: str) -> None:
            heard.append(agent)
            if len(heard) == 2:
                for each in heard:
                    each.say("It is ", f"{each.submitted[0]['text']}.")
                    each.emit("done")

        (scout, scout_entry), (clerk, clerk_entry) = await self.remote(script), await self.remote(script)
        calls = [
            ("agent_call", '{"agent": "scout", "message": "noon"}'),
            ("agent_call", '{"agent": "clerk", "message": "Monday"}'),
        ]
        ours = OurServer(self, [calls, "Monday, at noon."])
        await ours.start(scout=scout_entry, clerk=clerk_entry)
        text, thoughts = read(await ours.post(path))
        self.assertEqual(text, "Monday, at noon.")
        self.assertEqual(thoughts.count("[agent_call {"), 2)
        self.assertEqual((thoughts.count("It is noon."), thoughts.count("It is Monday.")), (1, 1))
        self.assertEqual(ours.results, ["It is noon.", "It is Monday."])
        self.assertEqual([each.depths for each in (scout, clerk)], [["1"], ["1"]])
        self.assertRegex(scout.submitted[0]["client_id"], "^api-swarm-[0-9a-f]{16}$")
        stored = await ours.store.load("llama-127.0.0.1", 100)
        assert stored is not None
        self.assertEqual(
            [(message.role, message.content) for message in stored.messages],
            [
                ("user", "when is it?"),
                ("assistant", ""),
                ("tool", "It is noon."),
                ("tool", "It is Monday."),
                ("assistant", "Monday, at noon."),
            ],
        )

    async def test_two_agents_answer_at_once_and_it_reads_well_in_ollamas_dialect(self) -> None:
        await self.check_both_at_once(OLLAMA, read_ollama)

    async def test_two_agents_answer_at_once_and_it_reads_well_in_openais_dialect(self) -> None:
        await self.check_both_at_once(OPENAI, read_openai)

    async def test_app_that_hangs_up_stops_the_remote_agent(self) -> None:
        scout, entry = await self.remote(lambda agent, text: agent.say("on and on"))
        ours = OurServer(self, [[("agent_call", '{"agent": "scout", "message": "noon"}')]])
        await ours.start(scout=entry)
        app = await connectProtocol(clientFromString(reactor, f"tcp:127.0.0.1:{ours.port}"), Peer())
        app.transport.write(post(OLLAMA, json.encode(ask("when is it?", stream=True))))
        await app.hear(b"on and on")
        app.transport.abortConnection()
        self.assertEqual(await scout.stopped, scout.submitted[0]["client_id"])
        while scout.streaming:
            await deferLater(reactor, 0.01)

    async def test_agent_that_is_not_there_is_a_result_for_the_model(self) -> None:
        entry = ModelEntry(type="AGENT", model_id="default", host="http://127.0.0.1:1")
        ours = OurServer(self, [[("agent_call", '{"agent": "scout", "message": "noon"}')], "I cannot tell."])
        await ours.start(scout=entry)
        text, _ = read_openai(await ours.post(OPENAI))
        self.assertEqual(text, "I cannot tell.")
        self.assertIn("'scout' cannot be reached", ours.results[0])


class CircleTests(TestCase):
    timeout = 20

    async def test_two_servers_that_ask_each_other_come_to_an_end(self) -> None:
        asks = [("llm_call", '{"model": "peer", "prompt": "when is it?"}')]
        first, second = OurServer(self, [asks, "It is noon."]), OurServer(self, [asks, "I was not to ask."])
        await second.start(peer=ModelEntry(type="OPENAI", model_id="x", host="http://127.0.0.1:1/v1"))
        host = f"http://127.0.0.1:{second.port}/v1"
        await first.start(peer=ModelEntry(type="OPENAI", model_id="any", host=host))
        text, _ = read_ollama(await first.post(OLLAMA))
        self.assertEqual(text, "It is noon.")
        self.assertEqual(first.results, ["I was not to ask."])
        self.assertIn("limited to a depth of 1", second.results[0])
        self.assertEqual((first.model.depths, second.model.depths), ([None, None], ["1", "1"]))
