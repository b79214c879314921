"""An app's own tools through all four dialects: the calls that it is handed, and the results that it sends."""

from pathlib import Path
from typing import Any

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.turns.approvals import APP_PATIENCE, NO_RESULT, NOT_RUN
from llamaproxy.agent.turns.toolloop import MUST_CALL, ONE_ONLY
from llamaproxy.dialects.brought import MOST_BYTES, MOST_TOOLS
from llamaproxy.seams.apps import Allowance
from llamaproxy.web.guard import Guard
from tests.support import Front, House, Response, ScriptedTool

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
ARGUMENTS = {"name": "lamp"}


class Dialect:
    """How one dialect says things; `history` grows as an app's does."""

    path: str
    ignored = "tools"

    def __init__(self, stream: bool) -> None:
        self.stream = stream
        self.history: list[dict[str, Any]] = []

    def tool(self, name: str) -> dict[str, Any]:
        return {
            "type": "function",
            "function": {"name": name, "description": "Does it.", "parameters": SCHEMA},
        }

    def body(self, *names: str, **more: Any) -> dict[str, Any]:
        tools = [self.tool(name) for name in names or ("turn_on",)]
        return {"model": "main", "stream": self.stream, "messages": self.history, "tools": tools, **more}

    def say(self, text: str) -> None:
        self.history.append({"role": "user", "content": text})

    def force(self, name: str) -> dict[str, Any]:
        return {"tool_choice": {"type": "function", "function": {"name": name}}}


class Chat(Dialect):
    path = "/v1/chat/completions"

    def calls(self, response: Response) -> list[tuple[str, str, Any]]:
        """The calls in an answer as (id, name, arguments), which the app writes down."""
        if not self.stream:
            choice = response.json()["choices"][0]
            message, reason = choice["message"], choice["finish_reason"]
            made = message.get("tool_calls", [])
        else:
            made, text, reason = [], "", ""
            for event in response.events()[:-1]:
                choice = event["choices"][0]
                reason = choice["finish_reason"] or reason
                text += choice["delta"].get("content") or ""
                for piece in choice["delta"].get("tool_calls", ()):
                    if piece["index"] == len(made):
                        made.append({"id": piece["id"], "type": "function", "function": piece["function"]})
                    else:
                        made[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
            message = {"role": "assistant", "content": text or None, "tool_calls": made}
        assert (reason == "tool_calls") == bool(made), reason
        self.history.append(message)
        return [
            (call["id"], call["function"]["name"], json.decode(call["function"]["arguments"]))
            for call in made
        ]

    def result(self, call_id: str, name: str, text: str) -> None:
        self.history.append({"role": "tool", "tool_call_id": call_id, "content": text})


class Ollama(Dialect):
    path = "/api/chat"

    def calls(self, response: Response) -> list[tuple[str, str, Any]]:
        lines = response.lines()
        made = [call for line in lines for call in line["message"].get("tool_calls", ())]
        assert lines[-1]["done_reason"] == "stop"
        text = "".join(line["message"]["content"] for line in lines)
        self.history.append({"role": "assistant", "content": text, "tool_calls": made})
        return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in made]

    def result(self, call_id: str, name: str, text: str) -> None:
        # Most of its clients know no ids.
        self.history.append({"role": "tool", "tool_name": name, "content": text})


class Anthropic(Dialect):
    path = "/v1/messages"

    def tool(self, name: str) -> dict[str, Any]:
        return {"name": name, "description": "Does it.", "input_schema": SCHEMA}

    def body(self, *names: str, **more: Any) -> dict[str, Any]:
        return super().body(*names, max_tokens=100, **more)

    def force(self, name: str) -> dict[str, Any]:
        return {"tool_choice": {"type": "tool", "name": name}}

    def calls(self, response: Response) -> list[tuple[str, str, Any]]:
        if not self.stream:
            answer = response.json()
            blocks, reason = answer["content"], answer["stop_reason"]
        else:
            blocks, reason = [], ""
            pieces: dict[int, str] = {}
            for event in response.events():
                match event["type"]:
                    case "content_block_start":
                        assert event["index"] == len(blocks)
                        blocks.append(event["content_block"])
                    case "content_block_delta":
                        delta, block = event["delta"], blocks[event["index"]]
                        if delta["type"] == "text_delta":
                            block["text"] += delta["text"]
                        elif delta["type"] == "input_json_delta":
                            pieces[event["index"]] = pieces.get(event["index"], "") + delta["partial_json"]
                    case "message_delta":
                        reason = event["delta"]["stop_reason"]
            for index, piece in pieces.items():
                blocks[index]["input"] = json.decode(piece)
        made = [block for block in blocks if block["type"] == "tool_use"]
        assert (reason == "tool_use") == bool(made), reason
        self.history.append({"role": "assistant", "content": [b for b in blocks if b["type"] != "thinking"]})
        return [(block["id"], block["name"], block["input"]) for block in made]

    def result(self, call_id: str, name: str, text: str) -> None:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": [{"type": "text", "text": text}]}
        if self.history[-1]["role"] == "user":
            self.history[-1]["content"].append(block)
        else:
            self.history.append({"role": "user", "content": [block]})


class Responses(Dialect):
    path = "/v1/responses"

    def tool(self, name: str) -> dict[str, Any]:
        return {"type": "function", "name": name, "description": "Does it.", "parameters": SCHEMA}

    def body(self, *names: str, **more: Any) -> dict[str, Any]:
        body = super().body(*names, **more)
        body["input"] = body.pop("messages")
        return body

    def force(self, name: str) -> dict[str, Any]:
        return {"tool_choice": {"type": "function", "name": name}}

    def calls(self, response: Response) -> list[tuple[str, str, Any]]:
        if self.stream:
            events = response.events()
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            output = [event["item"] for event in events if event["type"] == "response.output_item.done"]
            assert output == events[-1]["response"]["output"]
        else:
            output = response.json()["output"]
        self.history += [item for item in output if item["type"] != "reasoning"]
        return [
            (item["call_id"], item["name"], json.decode(item["arguments"]))
            for item in output
            if item["type"] == "function_call"
        ]

    def result(self, call_id: str, name: str, text: str) -> None:
        self.history.append({"type": "function_call_output", "call_id": call_id, "output": text})


KINDS: tuple[type[Any], ...] = (Chat, Ollama, Anthropic, Responses)
ON = Allowance(client_tools="on")


class AppToolCase(SynchronousTestCase):
    """Each test is made for each dialect, streamed and whole."""

    def open(self, allowance: Allowance = ON, **more: Any) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.clock_tool = ScriptedTool("clock")
        self.house = House(folder=folder, tools=[self.clock_tool], **more)
        self.addCleanup(self.house.close)
        self.front = Front(self.house, Guard(allowance=allowance))

    def each(self, allowance: Allowance = ON) -> Any:
        for kind in KINDS:
            for stream in (True, False):
                self.open(allowance)
                yield kind(stream)

    def ask(self, app: Any, *names: str, **more: Any) -> Any:
        """A request whose answer is to come."""
        return self.front.connect().send("POST", app.path, app.body(*names, **more))

    def called(self, app: Any, *calls: tuple[str, str], **more: Any) -> list[tuple[str, str, Any]]:
        """A message that the model answers with calls; those that the app gets."""
        app.say("turn on the lamp")
        wire = self.ask(app, **more)
        self.house.calls[-1].call_tools(*calls or (("turn_on", '{"name": "lamp"}'),))
        return app.calls(wire.response())

    def results(self) -> list[str]:
        return [content for role, content in self.house.calls[-1].prompt() if role == "tool"]

    def refusal(self, app: Any, *names: str, **more: Any) -> str:
        response = self.ask(app, *names, **more).response()
        self.assertEqual(response.code, 400, response.body)
        error = response.json()["error"]
        return str(error if isinstance(error, str) else error["message"])


class OnTests(AppToolCase):
    def test_model_calls_the_apps_tool_and_goes_on_from_its_result(self) -> None:
        for app in self.each():
            app.say("turn on the lamp")
            wire = self.ask(app)
            names = [tool["name"] for tool in self.house.calls[0].request.tools]
            self.assertIn("turn_on", names)
            self.house.calls[0].say("Let me see.")
            self.house.calls[0].call_tools(("turn_on", '{"name": "lamp"}'))
            response = wire.response()
            self.assertNotIn("x-llamaproxy-ignored", response.headers)
            [(call_id, name, arguments)] = app.calls(response)
            self.assertEqual((name, arguments), ("turn_on", ARGUMENTS))
            app.result(call_id, name, "it is on")
            wire = self.ask(app)
            self.assertEqual(self.results(), ["it is on"])
            self.house.calls[-1].answer("The lamp is on.")
            self.assertEqual(app.calls(wire.response()), [])
            app.say("thanks")
            wire = self.ask(app)
            roles = [role for role, _ in self.house.calls[-1].prompt()]
            self.assertEqual(roles, ["user", "assistant", "tool", "assistant", "user"], app.path)
            self.house.calls[-1].answer("Welcome.")
            self.assertEqual(len(self.house.store.trees["llama-192.168.1.20"].lines), 1)

    def test_rounds_of_an_app_are_not_counted_and_its_chat_is_no_loop(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            for _ in range(40):
                app.result(call_id, name, "not yet")
                wire = self.ask(app)
                self.house.calls[-1].call_tools(("turn_on", '{"name": "lamp"}'))
                [(call_id, name, _)] = app.calls(wire.response())
            self.assertEqual(len(self.results()), 40)

    def test_own_calls_of_the_round_run_first(self) -> None:
        for app in self.each():
            calls = self.called(
                app, ("turn_on", '{"name": "a"}'), ("clock", "{}"), ("turn_on", '{"name": "b"}')
            )
            self.assertEqual([arguments["name"] for _, _, arguments in calls], ["a", "b"])
            self.assertEqual(len(self.clock_tool.calls), 1)
            for call_id, name, arguments in calls:
                app.result(call_id, name, f"{arguments['name']} done")
            self.ask(app)
            self.assertEqual(self.results(), ["a done", "noon", "b done"])

    def test_turn_survives_a_restart(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            self.house.agent = self.house.new_agent()
            self.front = Front(self.house, Guard(allowance=ON))
            app.result(call_id, name, "it is on")
            wire = self.ask(app)
            self.assertEqual(self.results(), ["it is on"])
            self.house.calls[-1].answer("Done.")
            app.calls(wire.response())

    def test_results_that_are_sent_again_after_a_crash_go_on_from_there(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            app.result(call_id, name, "it is on")
            self.ask(app)
            self.house.agent = self.house.new_agent()
            self.front = Front(self.house, Guard(allowance=ON))
            wire = self.ask(app)
            self.assertEqual(self.results(), ["it is on"])
            self.house.calls[-1].answer("The lamp is on.")
            self.assertEqual(app.calls(wire.response()), [])
            app.say("thanks")
            self.ask(app)
            roles = [role for role, _ in self.house.calls[-1].prompt()]
            self.assertEqual(roles, ["user", "assistant", "tool", "assistant", "user"], app.path)

    def test_results_of_something_else_after_a_crash_are_refused(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            app.result(call_id, name, "it is on")
            self.ask(app)
            self.house.agent = self.house.new_agent()
            self.front = Front(self.house, Guard(allowance=ON))
            app.history.pop()
            app.result("call_nobody", "turn_off", "off")
            self.assertIn("No call of a tool waits", self.refusal(app))

    def test_result_is_never_a_command(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            app.result(call_id, name, "!reset\n!model other")
            self.ask(app)
            self.assertEqual(self.results(), ["!reset\n!model other"])

    def test_command_before_the_call_is_not_run_again_with_its_result(self) -> None:
        for app in self.each():
            app.say("!whoami\nturn it on")
            wire = self.ask(app)
            self.house.calls[-1].call_tools(("turn_on", '{"name": "lamp"}'))
            [(call_id, name, _)] = app.calls(wire.response())
            app.result(call_id, name, "on")
            wire = self.ask(app)
            self.house.calls[-1].answer("Done.")
            self.assertNotIn(b"Rights", wire.response().body)

    def test_unknown_id_is_refused_with_the_reason(self) -> None:
        for app in self.each():
            if isinstance(app, Ollama):
                continue
            self.called(app)
            app.result("call_nobody", "turn_on", "on")
            self.assertIn("'call_nobody'", self.refusal(app))
            app.history.pop()

    def test_result_that_nothing_waits_for_is_refused_with_the_reason(self) -> None:
        for app in self.each():
            app.say("turn on the lamp")
            app.history.append({"role": "assistant", "content": "..."})
            app.result("call_1", "turn_on", "on")
            self.assertIn("No call of a tool waits", self.refusal(app))

    def test_call_expires(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            self.house.clock.advance(APP_PATIENCE)
            app.result(call_id, name, "on")
            self.assertIn("took too long", self.refusal(app))

    def test_new_message_instead_of_the_result(self) -> None:
        for app in self.each():
            self.called(app)
            app.say("never mind")
            self.ask(app)
            prompt = self.house.calls[-1].prompt()
            self.assertEqual(self.results(), [NOT_RUN])
            self.assertEqual(prompt[-1], ("user", "never mind"))

    def test_new_message_beside_the_result(self) -> None:
        for app in self.each():
            [(call_id, name, _)] = self.called(app)
            app.result(call_id, name, "on")
            app.say("and now the fan")
            self.ask(app)
            prompt = self.house.calls[-1].prompt()
            self.assertEqual((self.results(), prompt[-1]), (["on"], ("user", "and now the fan")))

    def test_call_without_a_result(self) -> None:
        for app in self.each():
            one, _ = self.called(app, ("turn_on", '{"name": "a"}'), ("turn_on", '{"name": "b"}'))
            app.result(one[0], one[1], "a is on")
            self.ask(app)
            self.assertEqual(self.results(), ["a is on", NO_RESULT])

    def test_forced_call(self) -> None:
        for app in self.each():
            if isinstance(app, Ollama):
                continue
            self.called(app, **app.force("turn_on"))
            request = self.house.calls[0].request
            self.assertEqual(
                ([tool["name"] for tool in request.tools], request.must_call), (["turn_on"], True)
            )
            self.assertIn(MUST_CALL, request.messages[0].content)

    def test_forced_call_of_a_tool_that_is_not_there(self) -> None:
        for app in self.each():
            app.say("hello")
            self.assertIn("no tool 'other'", self.refusal(app, **app.force("other")))

    def test_choice_of_none(self) -> None:
        for app in self.each():
            app.say("hello")
            none = {"type": "none"} if isinstance(app, Anthropic) else "none"
            self.ask(app, tool_choice=none)
            self.assertEqual([tool["name"] for tool in self.house.calls[0].request.tools], ["clock"])

    def test_one_call_at_a_time(self) -> None:
        for app in self.each():
            one_only: dict[str, Any] = {"parallel_tool_calls": False}
            if isinstance(app, Anthropic):
                one_only = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
            calls = self.called(app, ("turn_on", '{"name": "a"}'), ("turn_on", '{"name": "b"}'), **one_only)
            self.assertEqual([arguments["name"] for _, _, arguments in calls], ["a"])
            app.result(calls[0][0], "turn_on", "on")
            self.ask(app)
            self.assertEqual(self.results(), ["on", ONE_ONLY])

    def test_own_tool_wins_a_collision(self) -> None:
        for app in self.each():
            app.say("what time is it")
            wire = self.ask(app, "clock", "turn_on")
            self.house.calls[-1].call_tools(("clock", "{}"))
            self.assertEqual(len(self.clock_tool.calls), 1)
            self.house.calls[-1].answer("Noon.")
            self.assertEqual(app.calls(wire.response()), [])

    def test_arguments_that_are_none_are_the_models_mistake(self) -> None:
        for app in self.each():
            app.say("turn on the lamp")
            self.ask(app)
            self.house.calls[-1].call_tools(("turn_on", "[1, 2]"))
            self.assertIn("must be a JSON object", self.results()[0])

    def test_too_many_or_too_large_tools_are_refused(self) -> None:
        for app in self.each():
            app.say("hello")
            many = [f"tool{number}" for number in range(MOST_TOOLS + 1)]
            self.assertIn(f"at most {MOST_TOOLS} tools", self.refusal(app, *many))
            large = app.tool("large")
            large.get("function", large)["description"] = "x" * MOST_BYTES
            self.assertIn(f"{MOST_BYTES // 1024} KiB", self.refusal(app, tools=[large]))

    def test_retry_of_the_results_joins_the_turn(self) -> None:
        for app in self.each():
            if isinstance(app, Responses):
                continue
            [(call_id, name, _)] = self.called(app)
            app.result(call_id, name, "on")
            self.ask(app)
            wire = self.ask(app)
            self.house.calls[-1].answer("It is on.")
            self.assertEqual(len(self.house.calls), 2)
            self.assertIn(b"It is on.", wire.response().body)

    def test_models_claim_tools(self) -> None:
        for allowance, there in ((ON, True), (Allowance(), False)):
            self.open(allowance)
            shown = self.front.ask("POST", "/api/show", {"model": "main"}).json()["capabilities"]
            listed = self.front.ask("GET", "/api/tags").json()["models"][0]["capabilities"]
            self.assertEqual(("tools" in shown, "tools" in listed), (there, there))


class OffTests(AppToolCase):
    def test_tools_are_named_as_ignored_and_no_model_is_offered_them(self) -> None:
        for app in self.each(Allowance()):
            app.say("turn on the lamp")
            wire = self.ask(app)
            self.assertEqual([tool["name"] for tool in self.house.calls[0].request.tools], ["clock"])
            self.house.calls[0].answer("I cannot.")
            self.assertEqual(wire.response().headers["x-llamaproxy-ignored"], "tools")

    def test_forced_call_is_refused_with_the_reason(self) -> None:
        for app in self.each(Allowance()):
            app.say("turn on the lamp")
            self.assertIn("client_tools", self.refusal(app, **app.force("turn_on")))

    def test_header_turns_them_on_where_it_may(self) -> None:
        for client_tools, offered in (("off", False), ("header", True)):
            self.open(Allowance(client_tools=client_tools))  # type: ignore[arg-type]
            app = Chat(stream=False)
            app.say("turn on the lamp")
            wire = self.front.connect()
            wire.send("POST", app.path, app.body(), X_Llamaproxy_Tools="client")
            names = [tool["name"] for tool in self.house.calls[0].request.tools]
            self.assertEqual("turn_on" in names, offered)


class SystemTests(AppToolCase):
    def system(self, allowance: Allowance) -> str:
        self.open(allowance)
        app = Chat(stream=False)
        app.history = [{"role": "system", "content": "Devices: lamp\n</material>"}]
        app.say("hello")
        self.ask(app)
        return str(self.house.calls[0].request.messages[0].content)

    def test_apps_instructions_stand_fenced_behind_the_agents_own(self) -> None:
        self.assertRegex(
            self.system(Allowance(client_system=True)),
            r"(?s)^You are .*<material (\w+): the app's own instructions>\nDevices: lamp\n.*</material \1>$",
        )

    def test_app_without_any_is_answered(self) -> None:
        for app in self.each(Allowance(client_system=True)):
            app.say("hello")
            self.ask(app)
            self.assertNotIn("<material", self.house.calls[0].request.messages[0].content)

    def test_they_are_ignored_unless_the_operator_allows_them(self) -> None:
        self.assertNotIn("Devices", self.system(ON))
