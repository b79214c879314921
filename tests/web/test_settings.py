"""Every setting of a profile against all rights, safe ones, none and the operator; the document shows the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.protocol import connectionDone

from llamaproxy.config import Profile
from llamaproxy.config.callers import with_keys
from llamaproxy.seams.types import Access
from llamaproxy.web.guard import Guard
from tests.support import Front, House, ScriptedModel, ScriptedTool, Wire
from tests.test_docs import read
from tests.web.deeds import COLUMNS
from tests.web.test_profiles import TITLE, ProfileCase

STRANGER, OTHER = "8.8.8.8", "9.9.9.9"
TURN_ON = {
    "type": "function",
    "function": {"name": "turn_on", "description": "Turns it on.", "parameters": {"type": "object"}},
}
# What each setting is set to; the names are those of the file.
SETTINGS: dict[str, Any] = {
    "from": ["8.8.8.0/24"],
    "session_by": ["client_header"],
    "model": "other",
    "models": ["other"],
    "tools": [],
    "gates": {"tools": {"shout": {"write": True}}},
    "rate": {"turns": 1, "seconds": 60},
    "budget": {"tokens_per_hour": 1},
    "client_tools": "on",
    "client_system": "append",
    "on_disconnect": "detach",
    "notify": "https://ntfy.example.org/mine",
    "housekeeping": "off",
    "heartbeat": 1,
}
# They say who the caller is and what its rights are: the columns, and the keys that the tests send.
THEMSELVES = {"key", "env_key", "commands", "operator"}


def rows() -> str:
    """The table as the document has it."""
    lines = [f"| setting | {' | '.join(COLUMNS)} |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | holds | holds | holds | holds |" for name in SETTINGS)])


class SettingTests(ProfileCase):
    def arrive(self, column: str, **settings: Any) -> None:
        """A house, and a caller with those rights and settings."""
        rights = {"operator": True} if column == "operator" else {"commands": column}
        self.now = self.front(
            {"x": {"key": "k", **rights, **settings}}, ScriptedModel("main"), ScriptedModel("other")
        )
        self.shout = ScriptedTool("shout", access=Access(operation="write", gate="shout"))
        self.now.house.toolbox.add(self.shout)

    def send(self, text: str = "hello", address: str = STRANGER, **more: Any) -> Wire:
        headers = {name: more.pop(name) for name in list(more) if name[0].isupper()}
        messages = [*more.pop("before", ()), {"role": "user", "content": text}]
        body = {"messages": messages, "stream": False, **more}
        return self.now.connect(address).send(
            "POST", "/v1/chat/completions", body, Authorization="Bearer k", **headers
        )

    def status(self, wire: Wire) -> int:
        return wire.response().code

    def call(self) -> Any:
        return next(call for model in self.now.house.models for call in model.calls)

    # -- what each setting brings about

    def holds_from(self) -> bool:
        return self.status(self.now.connect(OTHER).send("GET", "/v1/models", Authorization="Bearer k")) == 401

    def holds_session_by(self) -> bool:
        self.send(Session_Id="s1")
        return any(session.session_id.endswith("-s1") for session in self.now.house.agent.parts.sessions)

    def holds_model(self) -> bool:
        self.send()
        return bool(self.now.house.models[1].calls)

    def holds_models(self) -> bool:
        listed = self.now.connect(STRANGER).send("GET", "/v1/models", Authorization="Bearer k").response()
        self.send()
        return len(listed.json()["data"]) == 1 and bool(self.now.house.models[1].calls)

    def holds_tools(self) -> bool:
        self.send()
        return not self.call().request.tools

    def holds_gates(self) -> bool:
        self.send()
        self.call().call_tools(("shout", "{}"))
        return bool(self.shout.calls)

    def holds_rate(self) -> bool:
        wire = self.send("one")
        self.call().answer("yes")
        self.assertEqual(self.status(wire), 200)
        wire = self.send(
            "two", before=({"role": "user", "content": "one"}, {"role": "assistant", "content": "yes"})
        )
        return bool(wire.transport.value()) and self.status(wire) == 429

    holds_budget = holds_rate

    def holds_client_tools(self) -> bool:
        self.send(tools=[TURN_ON])
        return "turn_on" in [tool["name"] for tool in self.call().request.tools]

    def holds_client_system(self) -> bool:
        self.send(before=({"role": "system", "content": "Devices: lamp"},))
        return "Devices: lamp" in self.call().request.messages[0].content

    def holds_on_disconnect(self) -> bool:
        wire = self.send()
        wire.channel.connectionLost(connectionDone)
        return not self.call().cancelled

    def holds_notify(self) -> bool:
        self.send()
        [turn] = self.now.house.agent.parts.runs
        return bool(turn.caller.allowance.notify)

    def holds_housekeeping(self) -> bool:
        self.send(
            f"### Task:\n{TITLE}\n<chat_history>\nUSER: hi\n</chat_history>",
            X_Llamaproxy_Task="title_generation",
        )
        return bool(self.now.house.agent.parts.sessions)

    def holds_heartbeat(self) -> bool:
        wire = self.send(stream=True)
        self.now.house.clock.advance(1)
        return bool(wire.transport.value())

    # -- the tests

    def test_each_setting_holds_whatever_the_rights_and_nothing_of_it_without_it(self) -> None:
        for name, value in SETTINGS.items():
            holds: Callable[[], bool] = getattr(self, f"holds_{name}")
            for column in COLUMNS:
                for settings, expected in (({name: value}, True), ({}, False)):
                    self.arrive(column, **settings)
                    self.assertEqual(holds(), expected, (name, column, settings))

    def test_every_setting_of_a_profile_is_in_the_table(self) -> None:
        named = {"from" if name == "networks" else name for name in Profile.__struct_fields__}
        self.assertEqual(named - THEMSELVES, set(SETTINGS))

    def test_key_in_a_variable_is_as_one_in_the_file(self) -> None:
        for column in COLUMNS:
            rights: dict[str, Any] = {"operator": True} if column == "operator" else {"commands": column}
            profiles = with_keys(
                {"x": Profile(env_key="KEY", **rights)}, {"KEY": "k"}.get, Path("callers.json")
            )
            self.now = Front(House(folder=Path(self.mktemp())), Guard(callers=profiles))
            for key, code in (("k", 200), ("KEY", 401)):
                wire = self.now.connect(STRANGER).send("GET", "/v1/models", Authorization=f"Bearer {key}")
                self.assertEqual(self.status(wire), code, (column, key))

    def test_document_shows_the_table(self) -> None:
        self.assertIn(rows(), read("docs/rights.md"))


if __name__ == "__main__":
    print(rows())
