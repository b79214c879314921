from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from llamaproxy.config import Home, ModelEntry, ModelRegistry
from llamaproxy.models.agent import NO_WIDTH, Gate, TurnDecoder
from llamaproxy.models.registry import build_models, model_context
from llamaproxy.seams.errors import ModelError, ModelTimeout
from llamaproxy.seams.interfaces import IModel
from llamaproxy.seams.types import Message, ModelDelta, ModelRequest, Text

from .agent_server import RemoteAgentServer
from .fakes import KEY, Call, Connection, Listener
from .upstream.test_upstream import UpstreamTestCase

TOKEN = b'event: tok\r\ndata: {"text":"so"}\r\n\r\n'
DONE = b"event: done\r\ndata: {}\r\n\r\n"
CLIENT = "api-llama-m-192.168.1.20"


def request(text: str = "hello", session_id: str = "llama-192.168.1.20") -> ModelRequest:
    history = [
        Message(role="system", content="You are a house."),
        Message(role="user", content="earlier"),
        Message(role="assistant", content="indeed"),
    ]
    return ModelRequest(messages=[*history, Message(role="user", content=text)], session_id=session_id)


def greet(agent: RemoteAgentServer, text: str) -> None:
    agent.say("Hel", "lo")
    agent.emit("done")


class AgentTests(TestCase):
    timeout = 10

    async def remote(self, script: Any, key: str = "", **fields: Any) -> tuple[RemoteAgentServer, IModel]:
        """A remote agent, and the model that talks to it."""
        server = RemoteAgentServer(script, key)
        port = await server.listen()
        self.addCleanup(port.stopListening)
        entry = ModelEntry(**{"type": "AGENT", "model_id": "default", "host": server.url, **fields})
        context = model_context(reactor, {"MODEL_KEY": KEY}.get, Home(Path("/nowhere")))
        self.addCleanup(context.close)
        model = build_models(ModelRegistry(default_model="m", models={"m": entry}), context)["m"]
        self.addCleanup(model.stop)
        return server, model

    async def closed(self, server: RemoteAgentServer) -> None:
        while server.streaming:
            await deferLater(reactor, 0.01)

    async def test_no_line_of_a_prompt_is_a_command_over_there(self) -> None:
        server, model = await self.remote(greet)
        for text in (
            "Fix my macros:\n!reset\n  !model x",
            "!pip install x\ny",
            "a\r!reset",
            "a\u2028!reset",
            "\n\n!reset",
        ):
            await model.chat(request(text), Listener())
            sent = server.submitted[-1]["text"]
            self.assertEqual(sent.replace(NO_WIDTH, ""), text)
            self.assertFalse(any(line.lstrip().startswith("!") for line in sent.splitlines()), text)
        await model.chat(request("!reset", "swarm-1"), Listener())
        self.assertEqual(server.submitted[-1]["text"], "!reset")

    async def test_newest_message_is_submitted_and_the_stream_is_the_answer(self) -> None:
        server, model = await self.remote(greet)
        listener = Listener()
        result = await model.chat(request("how are you?"), listener)
        self.assertEqual((listener.text, result.finish_reason, result.usage), ("Hello", "stop", None))
        self.assertEqual(server.calls, ["submit", "stream"])
        self.assertEqual(server.submitted, [{"text": "how are you?", "client_id": CLIENT, "timeout": 600.0}])
        await self.closed(server)

    async def test_session_keeps_its_client_id_and_others_have_their_own(self) -> None:
        server, model = await self.remote(greet)
        for session_id in ("llama-192.168.1.20", "llama-192.168.1.20", "llama-fe80::1", "llama-fe80:1"):
            await model.chat(request(session_id=session_id), Listener())
            await self.closed(server)
        first, again, odd, other = [each["client_id"] for each in server.submitted]
        self.assertEqual((first, again), (CLIENT, CLIENT))
        self.assertRegex(odd, "^api-llama-m-fe80-1-[0-9a-f]{8}$")
        self.assertNotEqual(odd, other)

    async def test_key_and_model_of_the_entry_are_sent(self) -> None:
        server, model = await self.remote(greet, key=KEY, env_key="MODEL_KEY", model_id="sonnet")
        await model.chat(request(), Listener())
        self.assertEqual(server.submitted[0]["default_model"], "sonnet")
        await self.closed(server)

    async def test_wrong_key_is_an_error_and_nothing_is_stopped(self) -> None:
        server, model = await self.remote(greet, key="another")
        with self.assertRaises(ModelError) as caught:
            await model.chat(request(), Listener())
        self.assertIn("refused the API key (401)", str(caught.exception))
        await model.stop()
        self.assertEqual(server.calls, ["submit"])

    async def test_turn_goes_on_after_a_round_of_tools_and_its_comments(self) -> None:
        def script(agent: RemoteAgentServer, text: str) -> None:
            agent.say("Looking. ")
            agent.emit("flush")
            agent.raw(b": keepalive\r\n\r\n")
            agent.emit("model", key="other")
            agent.say("Found.")
            agent.emit("done")

        server, model = await self.remote(script)
        listener = Listener()
        await model.chat(request(), listener)
        self.assertEqual(listener.text, "Looking. Found.")
        await self.closed(server)

    async def test_done_that_comes_late_ends_the_turn(self) -> None:
        server, model = await self.remote(lambda agent, text: agent.say("wait"))
        listener = Listener()
        done = model.chat(request(), listener)
        while listener.text != "wait":
            await deferLater(reactor, 0.01)
        self.assertFalse(done.called)
        server.emit("done")
        await done
        await self.closed(server)

    async def test_error_ends_the_turn_and_the_done_after_it_is_not_the_next_turns(self) -> None:
        def script(agent: RemoteAgentServer, text: str) -> None:
            if text == "hello":
                agent.say("so")
                agent.emit("error", message="the model is on fire")
                agent.emit("done")
            else:
                greet(agent, text)

        server, model = await self.remote(script)
        with self.assertRaises(ModelError) as caught:
            await model.chat(request(), Listener())
        self.assertIn("failed: the model is on fire", str(caught.exception))
        listener = Listener()
        await model.chat(request("again"), listener)
        self.assertEqual(listener.text, "Hello")
        await self.closed(server)

    async def test_server_that_is_done_after_every_round_is_listened_to_for_longer(self) -> None:
        def script(agent: RemoteAgentServer, text: str) -> None:
            agent.say("one ")
            agent.emit("done")
            reactor.callLater(0.05, agent.say, "two")
            reactor.callLater(0.1, agent.emit, "done")

        server, model = await self.remote(script, linger=0.3)
        listener = Listener()
        await model.chat(request(), listener)
        self.assertEqual(listener.text, "one two")
        await self.closed(server)

    async def test_gates_are_answered_by_tool_then_by_operation_then_with_no(self) -> None:
        wanted = [
            ("a", "db_query", "write"),
            ("b", "db_query", "read"),
            ("c", "files", "read"),
            ("d", "files", "write"),
        ]

        def script(agent: RemoteAgentServer, text: str) -> None:
            for gate_id, tool, operation in wanted:
                args = {"operation_type": operation, "sql": "..."}
                agent.emit("gate", gate_id=gate_id, tool_name=tool, tool_args=args, tables=["t"])

        server, model = await self.remote(script, gate_policy={"db_query": False, "read": True})
        server.on_gate = lambda gate_id, approve: (
            greet(server, "") if len(server.gates) == len(wanted) else None
        )
        await model.chat(request(), Listener())
        self.assertEqual(server.gates, {"a": False, "b": False, "c": True, "d": False})
        await self.closed(server)

    async def test_client_that_leaves_stops_the_turn_and_closes_the_stream(self) -> None:
        server, model = await self.remote(lambda agent, text: agent.say("on and on"))
        listener = Listener()
        done = model.chat(request(), listener)
        while not listener.text:
            await deferLater(reactor, 0.01)
        done.cancel()
        with self.assertRaises(CancelledError):
            await done
        self.assertEqual(await server.stopped, CLIENT)
        await self.closed(server)

    async def test_turn_after_a_stopped_one_waits_until_the_stop_has_arrived(self) -> None:
        server, model = await self.remote(lambda agent, text: agent.say("on and on"))
        listener = Listener()
        first = model.chat(request(), listener)
        while not listener.text:
            await deferLater(reactor, 0.01)
        server.script = greet
        first.cancel()
        self.failureResultOf(first, CancelledError)
        await model.chat(request(), Listener())
        self.assertEqual(server.calls, ["submit", "stream", "stop", "submit", "stream"])
        await self.closed(server)

    async def test_agent_that_never_says_anything_is_given_up_and_stopped(self) -> None:
        server, model = await self.remote(lambda agent, text: None, first_token_timeout=0.1)
        with self.assertRaises(ModelTimeout):
            await model.chat(request(), Listener())
        await server.stopped
        await self.closed(server)

    async def test_stream_that_breaks_in_the_middle_is_an_error(self) -> None:
        server, model = await self.remote(lambda agent, text: agent.say("so"))
        listener = Listener()
        done: Deferred[Any] = model.chat(request(), listener)
        while not listener.text:
            await deferLater(reactor, 0.01)
        server.hang_up()
        with self.assertRaises(ModelError) as caught:
            await done
        self.assertIn("broke off in the middle", str(caught.exception))

    async def test_reader_that_holds_the_stream_gets_the_rest_when_it_lets_go(self) -> None:
        server, model = await self.remote(greet)
        listener = Listener(holding=True)
        done = model.chat(request(), listener)
        while not listener.text:
            await deferLater(reactor, 0.01)
        await deferLater(reactor, 0.05)
        listener.release() if listener.producer is not None else None
        await done
        self.assertEqual(listener.text, "Hello")
        await self.closed(server)

    async def test_call_outside_any_session_leaves_none_behind(self) -> None:
        server, model = await self.remote(greet)
        await model.chat(request(session_id=""), Listener())
        await model.stop()
        client = server.submitted[0]["client_id"]
        self.assertRegex(client, "^api-llama-m-once-[0-9a-f]{8}$")
        self.assertEqual(server.calls[-1], f"delete {client}")
        await self.closed(server)

    async def test_forgotten_session_is_forgotten_over_there(self) -> None:
        server, model = await self.remote(greet)
        model.forget("llama-192.168.1.20")  # type: ignore[attr-defined]  # an IKeepsHistory
        await model.stop()
        self.assertEqual(server.calls, [f"delete {CLIENT}"])

    async def test_conversation_that_was_cut_back_is_forgotten_and_told_again_once(self) -> None:
        server, model = await self.remote(greet)
        model.rewind("llama-192.168.1.20")  # type: ignore[attr-defined]  # an IKeepsHistory
        for _ in range(2):
            await model.chat(request("how are you?"), Listener())
            await self.closed(server)
        retold = "I: earlier\n\nYou: indeed\n\n[It goes on with this message]\nhow are you?"
        first, second = [each["text"] for each in server.submitted]
        self.assertEqual((first, second), (f"[Our conversation so far]\n{retold}", "how are you?"))
        self.assertEqual(server.calls[:2], [f"delete {CLIENT}", "submit"])

    async def test_conversation_that_was_cut_back_to_nothing_begins_with_the_message_alone(self) -> None:
        server, model = await self.remote(greet)
        model.rewind("llama-192.168.1.20")  # type: ignore[attr-defined]  # an IKeepsHistory
        alone = ModelRequest(
            messages=[Message(role="user", content="hello")], session_id="llama-192.168.1.20"
        )
        await model.chat(alone, Listener())
        await self.closed(server)
        self.assertEqual(server.submitted[0]["text"], "hello")

    async def test_answer_to_a_submission_that_makes_no_sense_is_an_error(self) -> None:
        server, model = await self.remote(greet)
        server.broken = True
        with self.assertRaises(ModelError) as caught:
            await model.chat(request(), Listener())
        self.assertIn("sent what cannot be read", str(caught.exception))


class LingerTests(UpstreamTestCase):
    def lingering(self) -> tuple[Call, Connection]:
        """A turn that said something and that it is done, half of its 30 seconds ago."""
        call, submission = self.call(kind="AGENT", linger=30, idle_timeout=20)
        submission.answer(200, b'{"client_id":"api-x"}')
        connection = self.network.accept()
        connection.begin()
        connection.send(TOKEN + DONE)
        self.network.clock.advance(15)
        self.assertNoResult(call.done)
        return call, connection

    def test_pings_do_not_make_it_longer(self) -> None:
        call, connection = self.lingering()
        connection.send(b": ping\r\n\r\n")
        self.network.clock.advance(15)
        self.result_of(call)
        self.assertTrue(connection.closed)

    def test_more_text_opens_the_turn_again(self) -> None:
        call, connection = self.lingering()
        connection.send(TOKEN)
        self.network.clock.advance(19)
        self.assertNoResult(call.done)
        connection.send(DONE)
        self.network.clock.advance(30)
        self.result_of(call)
        self.assertEqual(call.listener.text, "soso")

    def test_turn_that_was_opened_again_must_not_fall_silent(self) -> None:
        call, connection = self.lingering()
        connection.send(TOKEN)
        self.network.clock.advance(20)
        self.error_of(call, ModelTimeout)

    def test_no_time_passes_while_the_receiver_holds_the_stream(self) -> None:
        call, _ = self.lingering()
        call.listener.hold()
        self.network.clock.advance(1000)
        call.listener.release()
        self.assertNoResult(call.done)
        self.network.clock.advance(15)
        self.result_of(call)

    def test_client_that_leaves_meanwhile_misses_nothing(self) -> None:
        call, connection = self.lingering()
        call.done.cancel()
        self.result_of(call)
        self.assertTrue(connection.closed)


class DecoderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.gates: list[Gate] = []
        self.decoder = TurnDecoder("The agent", self.gates.append)
        self.deltas: list[ModelDelta] = []

    def test_events_that_the_network_cut_are_whole_again(self) -> None:
        stream = b'event: tok\r\ndata: {"text":"a\\nb"}\r\n\r\n: ping\r\n\r\nevent: done\r\ndata: {}\r\n\r\n'
        for byte in stream:
            self.decoder.received(bytes([byte]), self.deltas)
        self.assertEqual(self.deltas, [Text("a\nb")])
        self.assertTrue(self.decoder.finished)

    def test_gate_without_arguments_is_still_a_gate(self) -> None:
        self.decoder.received(b'event: gate\ndata: {"gate_id":"g","tables":[]}\n\n', self.deltas)
        self.assertEqual(self.gates, [Gate("g")])

    def test_empty_error_has_words(self) -> None:
        event = b"event: error\ndata: {}\n\n"
        error = self.assertRaises(ModelError, self.decoder.received, event, self.deltas)
        self.assertEqual(str(error), "The agent failed: no explanation")
