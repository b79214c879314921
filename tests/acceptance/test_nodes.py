"""Two servers on one PostgreSQL, as on two machines: what is said to one holds at the other."""

import random
import re
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests.store.postgres import fresh_url
from tests.support import Response
from tests.tools.sql.servers import Missing, Postgres

from .case import AcceptanceCase
from .phone import OLLAMA, Phone, dial
from .program import Program, ServerHome
from .upstream import Call


class Node:
    """One of the servers, and the phones that talk to it."""

    def __init__(self, case: AcceptanceCase, home: ServerHome, program: Program) -> None:
        self._case, self.home, self.program = case, home, program

    async def ask(self, text: str, address: str = "127.0.0.1", *headers: str) -> Phone:
        """A phone that has sent a message."""
        phone = await dial(self.home.port, address)
        self._case.addCleanup(self._case.end, phone)
        phone.request("POST", OLLAMA.path, json.encode(OLLAMA.body(text)), *headers)
        return phone

    async def get(self, path: str) -> Response:
        """The answer to a GET."""
        phone = await dial(self.home.port)
        self._case.addCleanup(self._case.end, phone)
        phone.request("GET", path)
        return await phone.response()

    async def post(self, path: str, body: Mapping[str, Any]) -> Response:
        """The answer to a POST."""
        phone = await dial(self.home.port)
        self._case.addCleanup(self._case.end, phone)
        phone.request("POST", path, json.encode(body), "anthropic-version: 2023-06-01")
        return await phone.response()

    async def answer(self, text: str, address: str = "127.0.0.1", *headers: str) -> Response:
        """The whole answer to a message."""
        return await (await self.ask(text, address, *headers)).response()

    async def say(self, text: str, address: str = "127.0.0.1", *headers: str) -> str:
        """What is answered."""
        return OLLAMA.text(await self.answer(text, address, *headers))


class NodesCase(AcceptanceCase):
    timeout = 120

    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        self.url = fresh_url()
        self.upstream.script = lambda call: call.answer(f"{len(call.history)} before {call.question}")

    async def node(self, settings: Mapping[str, Any] | None = None, **door: Any) -> Node:
        """One more server; `settings` stand beside those of its front door."""
        home = ServerHome(Path(self.mktemp()))
        home.models = {"m": self.upstream.entry()}
        home.door = {"store": self.url, **door}
        home.plugins = ("plugin_files",)
        home.write()
        file = home.path / "plugins-enabled.json"
        content = {**json.decode(file.read_bytes()), **(settings or {})}
        content["plugin_config"]["plugin_files"] = {"folder": "shared"}
        file.write_bytes(json.encode(content))
        gates = {"tools": {"*": {"read": True}}}
        (home.path / "gate-defaults.json").write_bytes(json.encode(gates))
        (home.path / "shared").mkdir()
        program = await home.serve()
        self.addCleanup(lambda: Deferred.fromCoroutine(program.put_down()))
        return Node(self, home, program)


class SessionTests(NodesCase):
    async def test_turn_is_stopped_and_a_session_deleted_from_another_node(self) -> None:
        one, other = await self.node(), await self.node()
        self.assertEqual(await one.say("first"), "0 before first")
        self.assertEqual(await other.say("second"), "2 before second")
        self.upstream.script = None
        reply = await one.ask("third")
        call = await self.upstream.call()
        call.say("It is ")
        self.assertEqual(await other.say("!stop"), "Stopped.")
        self.assertIn("[stopped]", OLLAMA.text(await reply.response()))
        await call.dropped
        self.upstream.script = lambda call: call.answer(f"{len(call.history)} before {call.question}")
        self.assertIn("Deleted: llama-127.0.0.1", await other.say("!session llama-127.0.0.1 delete"))
        self.assertEqual(await one.say("anew"), "0 before anew")
        # No index has room for such a name.
        nobody = "".join(random.Random(1).choices(string.ascii_letters, k=9000))
        self.assertIn("There is no session", await one.say(f"!session {nobody} delete"))

    async def test_job_is_listed_shown_and_stopped_from_another_node(self) -> None:
        one, other = await self.node(), await self.node()
        self.upstream.script = None
        for number in (1, 2):
            self.assertIn(f"Job {number} begins", await one.say(f"!bg work {number}"))
        first = await self.upstream.call()
        self.assertRegex(await other.say("!jobs"), r"1 goes on in another process: work 1\n2 .*: work 2")
        shown = await other.ask("!resume 1")
        self.assertEqual(await other.say("!stop 2"), "Job 2 is stopped.")
        first.answer("All of work 1 is done.")
        self.assertEqual(OLLAMA.text(await shown.response()), "All of work 1 is done.")
        self.upstream.script = lambda call: call.answer(f"{len(call.history)} before {call.question}")
        self.assertEqual(await one.say("and now"), "2 before and now")
        self.assertEqual(await other.say("!jobs"), "There are no jobs. !bg <text> begins one.")

    async def test_question_of_one_node_is_answered_at_another(self) -> None:
        one, other = await self.node(gate_mode="ask"), await self.node(gate_mode="ask")
        self.upstream.script = self.write
        for word, written in (("no", False), ("yes", True)):
            asked = await one.say(f"write it, {word}")
            code = re.search(r"!yes ([A-Z0-9]+)", asked)
            assert code is not None, asked
            self.assertIn("still open", await other.say("something else"))
            self.assertIn("not the code", await other.say("!yes AAAA1"))
            self.assertIn("after", await other.say(f"!{word} {code[1]}"))
            self.assertIn("No question is open", await one.say(f"!yes {code[1]}"))
            files = [node.home.path / "shared" / "note.txt" for node in (one, other)]
            self.assertEqual([file.exists() for file in files], [False, written])

    def write(self, call: Call) -> None:
        if call.role == "tool":
            call.answer("after the call")
        elif not call.question.startswith("write"):
            call.answer("Very well.")
        else:
            arguments = {"operation": "write", "path": "note.txt", "content": "x"}
            call.call_tool("files", json.encode(arguments).decode())


class LimitTests(NodesCase):
    async def test_limits_set_by_commands_hold_everywhere_also_on_a_node_that_starts_later(self) -> None:
        one, other = await self.node(), await self.node()
        await one.say("!limit_set max_tool_iterations 3")
        await other.say("!limit_set search 7/70")
        await one.say("!maxusers 9")
        late = await self.node()
        for node in (one, other, late):
            shown = await node.say("!limit_list")
            self.assertIn("max_tool_iterations: 3", shown)
            self.assertIn("search: 7 calls in 70 s", shown)
            self.assertIn("9", await node.say("!maxusers"))

    async def test_calls_of_tools_are_counted_over_nodes(self) -> None:
        one, other = await self.node(), await self.node()
        await one.say("!limit_set drive 2/600")
        results: list[str] = []
        self.upstream.script = lambda call: self.look(call, results)
        for node in (one, other, one):
            await node.say("look")
        self.assertEqual([("limit" in each) for each in results], [False, False, True], results)

    def look(self, call: Call, results: list[str]) -> None:
        if call.role == "tool":
            results.append(call.question)
            call.answer("Very well.")
        else:
            call.call_tool("files", '{"operation": "list", "path": "."}')

    async def test_what_a_caller_may_use_is_counted_over_nodes_also_by_one_that_starts_later(self) -> None:
        callers = {"phones": {"key": "k", "rate": {"turns": 3, "seconds": 600}}}
        one, other = await self.node(callers=callers), await self.node(callers=callers)
        key = "Authorization: Bearer k"
        for node in (one, other, one):
            self.assertIn("before", await node.say("hello", "127.0.0.1", key))
        late = await self.node(callers=callers)
        for node in (one, other, late):
            refused = await node.answer("hello", "127.0.0.1", key)
            self.assertEqual(refused.code, 429, refused.body)
            self.assertIn("retry-after", refused.headers)
            self.assertIn("Chat: !help", await node.say("!help", "127.0.0.1", key))

    async def test_users_are_counted_once_wherever_they_talk_and_make_room_wherever_they_rest(self) -> None:
        # Who is at the machine itself would be the operator, who always gets in.
        guests = {"guests": {"from": ["127.0.5.0/24"], "operator": False}}
        one, other = [await self.node({"max_users": 2}, callers=guests) for _ in range(2)]
        people = [f"127.0.5.{number}" for number in range(1, 5)]
        # The same two at both: they are two.
        for node in (one, other, one, other):
            for address in people[:2]:
                self.assertIn("before", await node.say("hello", address))
        self.upstream.script = None
        busy = [await one.ask("wait", people[0]), await other.ask("wait", people[1])]
        calls = [await self.upstream.call() for _ in busy]
        for node in (one, other):
            self.assertIn("already 2 users", await node.say("hello", people[2]))
        for call in calls:
            call.answer("done")
        for phone in busy:
            await phone.response()
        self.upstream.script = lambda call: call.answer(f"{len(call.history)} before {call.question}")
        # Somebody rests now, and gives way.
        self.assertIn("before", await one.say("hello", people[2]))
        self.assertIn("before", await other.say("hello", people[3]))


# A message in every dialect.
WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "/api/chat": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/api/generate": lambda text: {"prompt": text},
    "/v1/api/chat": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/completions": lambda text: {"prompt": text},
    "/v1/responses": lambda text: {"input": text},
    "/v1/messages": lambda text: {"max_tokens": 99, "messages": [{"role": "user", "content": text}]},
}
LOOKS = ("!help", "!whoami", "!session", "!limit_list", "!jobs", "!llm_list")


class AwayTests(NodesCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        await super().setUp()
        try:
            self.postgres = await deferToThread(Postgres)
        except Missing as missing:
            raise SkipTest(str(missing)) from None
        self.addCleanup(self.postgres.end)
        self.url = self.postgres.url

    async def test_loss_of_the_database_is_told_in_every_dialect_and_over_by_itself(self) -> None:
        node = await self.node()
        await deferToThread(self.postgres.kill)
        while (await node.get("/readyz")).code == 200:
            pass
        self.assertEqual((await node.get("/healthz")).code, 200)
        for path, body in WAYS.items():
            for stream in (False, True):
                refused = await node.post(path, {"model": "m", "stream": stream, **body("hello")})
                told = (path, stream, refused.raw)
                self.assertEqual((refused.code, refused.headers["retry-after"]), (503, "5"), told)
                self.assertIn("cannot be reached at the moment", self.words(path, refused), told)
                for look in LOOKS:
                    shown = await node.post(path, {"model": "m", "stream": stream, **body(look)})
                    self.assertEqual(shown.code, 200, (look, shown.raw))
                    self.assertNotIn(b"cannot be reached", shown.body)
        await deferToThread(self.postgres.boot)
        while (await node.get("/readyz")).code != 200:
            pass
        for path, body in WAYS.items():
            answered = await node.post(path, {"model": "m", "stream": False, **body("hello")})
            self.assertEqual(answered.code, 200, (path, answered.raw))
            self.assertIn(b"before hello", answered.body)

    def words(self, path: str, refused: Response) -> str:
        """The sentence of an error, in the form that the dialect of the path has for it."""
        error = refused.json()["error"]
        if path.startswith(("/api", "/v1/api")):
            return str(error)
        self.assertIsInstance(error["type"], str)
        if path == "/v1/messages":
            self.assertEqual(refused.json()["type"], "error")
        return str(error["message"])
