"""Whose profile a request falls under, and what of it the web room goes by."""

from pathlib import Path
from typing import Any

from msgspec import convert
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

from llamaproxy.config import Profile
from llamaproxy.config.callers import digest_of
from llamaproxy.web.guard import Guard
from tests.support import CountingEmbedder, Front, House, Response, ScriptedModel

LAN, STRANGER = "192.168.1.2", "8.8.8.8"
TITLE = "Generate a concise, 3-5 word title"


def guard_of(callers: dict[str, Any], **others: Any) -> Guard:
    return Guard(callers={name: convert(entry, Profile) for name, entry in callers.items()}, **others)


class ProfileCase(SynchronousTestCase):
    def front(self, callers: dict[str, Any], *models: ScriptedModel, **others: Any) -> Front:
        house = House(*models, folder=Path(self.mktemp()), embedders=[CountingEmbedder()])
        self.addCleanup(house.close)
        return Front(house, guard_of(callers, **others))

    def ask(self, front: Front, address: str, path: str, body: Any = None, **headers: str) -> Response:
        method = "GET" if body is None else "POST"
        return front.connect(address).send(method, path, body or b"", **headers).response()

    def who(self, callers: dict[str, Any], address: str, key: str = "", **others: Any) -> dict[str, str]:
        """The lines of `!whoami` by their first words; nothing for who may not come in."""
        front = self.front(callers, **others)
        body = {"messages": [{"role": "user", "content": "!whoami"}], "stream": False}
        headers = {"authorization": f"Bearer {key}"} if key else {}
        response = self.ask(front, address, "/api/chat", body, **headers)
        if response.code != 200:
            return {}
        lines = response.json()["message"]["content"].splitlines()
        return dict(line.split(": ", 1) for line in lines)


class RecognitionTests(ProfileCase):
    def test_key_in_whatever_form_names_the_profile_from_anywhere(self) -> None:
        for stored in ("k3y", digest_of("k3y"), digest_of("k3y").upper().replace("SHA", "sha")):
            for address in (LAN, STRANGER, "127.0.0.1"):
                who = self.who({"phone": {"key": stored, "commands": "safe"}}, address, "k3y")
                self.assertEqual(who["Profile"], "phone")
                self.assertEqual(who["Rights"], "commands about your own conversation")
                self.assertIn(f"llama-{address}-phone ", who["Session"])

    def test_digest_is_no_key(self) -> None:
        stored = digest_of("k3y")
        self.assertEqual(self.who({"phone": {"key": stored}}, STRANGER, stored), {})

    def test_network_names_the_profile_of_who_shows_no_key_and_lets_them_in(self) -> None:
        callers = {"office": {"from": ["8.8.8.0/24"], "commands": "safe"}, "phone": {"key": "k3y"}}
        self.assertEqual(self.who(callers, STRANGER)["Profile"], "office")
        self.assertEqual(self.who(callers, STRANGER, "wrong")["Profile"], "office")
        self.assertEqual(self.who(callers, STRANGER, "k3y")["Profile"], "phone")
        self.assertEqual(self.who(callers, "8.8.4.4"), {})
        self.assertNotIn("Profile", self.who(callers, LAN))

    def test_key_counts_from_its_networks_only(self) -> None:
        callers = {"phone": {"key": "k3y", "from": ["8.8.8.0/24"], "commands": "safe"}}
        self.assertEqual(self.who(callers, STRANGER, "k3y")["Profile"], "phone")
        self.assertEqual(self.who(callers, "8.8.4.4", "k3y"), {})
        self.assertEqual(self.who(callers, STRANGER), {})
        self.assertNotIn("Profile", self.who(callers, LAN, "k3y"))

    def test_short_form_is_a_profile_as_well(self) -> None:
        who = self.who({}, STRANGER, "a", api_keys={"anna": "a"}, key_commands={"anna": "all"})
        self.assertEqual((who["Profile"], who["Rights"]), ("anna", "all commands, as the operator"))

    def test_operator_is_who_has_it_written_of_them(self) -> None:
        for operator, here, elsewhere in (
            ({"operator": True}, True, True),
            ({}, True, False),
            ({"operator": False}, False, False),
        ):
            for address, expected in (("127.0.0.1", here), (STRANGER, elsewhere)):
                front = self.front({"me": {"key": "k3y", "commands": "all", **operator}})
                body = {"messages": [{"role": "user", "content": "!whoami"}], "stream": False}
                headers = {"authorization": "Bearer k3y", "host": "localhost"}
                wire = front.connect(address)
                data = b'{"messages": [{"role": "user", "content": "!whoami"}], "stream": false}'
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                wire.channel.dataReceived(
                    f"POST /api/chat HTTP/1.1\r\n{head}content-length: {len(data)}\r\n\r\n".encode() + data
                )
                said = wire.response().json()["message"]["content"]
                self.assertEqual("as the operator" in said, expected, (operator, address, body))

    def test_session_by_of_a_profile_counts_for_its_callers(self) -> None:
        callers = {"app": {"key": "k3y", "session_by": ["client_header"]}, "anna": {"key": "a"}}
        front = self.front(callers)
        body = {"messages": [{"role": "user", "content": "!whoami"}], "stream": False}

        def session(key: str, **headers: str) -> str:
            answer = self.ask(front, LAN, "/api/chat", body, authorization=f"Bearer {key}", **headers)
            return str(answer.json()["message"]["content"].split()[1])

        self.assertEqual(session("k3y", session_id="s1"), f"llama-{LAN}-s1")
        self.assertEqual(session("k3y", x_llamaproxy_chat="c1"), f"llama-{LAN}")
        self.assertEqual(session("a", session_id="s1"), f"llama-{LAN}-anna")
        # No header leads into the session of another's key.
        self.assertNotEqual(session("k3y", session_id="anna"), f"llama-{LAN}-anna")


class MannersTests(ProfileCase):
    def test_lists_cards_and_embedders_are_those_that_the_profile_opens(self) -> None:
        models = (ScriptedModel("main"), ScriptedModel("other"))
        front = self.front({"phone": {"key": "k", "models": ["other"]}}, *models)
        mine = {"authorization": "Bearer k"}
        for path, field, name in (("/api/tags", "models", "model"), ("/v1/models", "data", "id")):
            listed = self.ask(front, LAN, path, **mine).json()[field]
            self.assertEqual([entry[name].partition(":")[0] for entry in listed], ["other"])
            self.assertEqual(len(self.ask(front, LAN, path).json()[field]), 2)
        menu = self.ask(front, LAN, "/api/experimental/model-recommendations", **mine).json()
        self.assertEqual([entry["model"].partition(":")[0] for entry in menu["recommendations"]], ["other"])
        self.assertEqual(self.ask(front, LAN, "/v1/models/main", **mine).code, 404)
        self.assertEqual(self.ask(front, LAN, "/api/show", {"model": "main"}, **mine).code, 404)
        self.assertEqual(self.ask(front, LAN, "/v1/models/other", **mine).code, 200)
        for path in ("/v1/embeddings", "/api/embed"):
            self.assertEqual(self.ask(front, LAN, path, {"input": "x", "model": "vectors"}).code, 200)
            self.assertEqual(self.ask(front, LAN, path, {"input": "x", "model": "vectors"}, **mine).code, 400)

    def test_errands_are_answered_as_the_profile_says(self) -> None:
        callers = {
            "none": {"key": "off", "housekeeping": "off"},
            "asks": {"key": "model", "housekeeping": "model"},
        }
        prompt = (
            f"### Task:\n{TITLE}\n<chat_history>\nUSER: hi\n</chat_history>\nJSON format: " + '{"title": "x"}'
        )
        body = {"messages": [{"role": "user", "content": prompt}], "stream": False}
        for key, calls, session in (("", 0, False), ("model", 1, False), ("off", 1, True)):
            front = self.front(callers)
            headers = {"authorization": f"Bearer {key}"} if key else {}
            front.connect(LAN).send(
                "POST", "/api/chat", body, X_Llamaproxy_Task="title_generation", **headers
            )
            self.assertEqual(len(front.house.calls), calls, key)
            self.assertEqual(bool(front.house.agent.parts.sessions), session, key)

    def test_heartbeat_is_that_of_the_profile(self) -> None:
        front = self.front({"quick": {"key": "k", "heartbeat": 1}, "mute": {"key": "m", "heartbeat": 0}})
        body = {"messages": [{"role": "user", "content": "hello"}], "stream": True}
        wires = [
            front.connect(LAN).send("POST", "/v1/chat/completions", body, authorization=f"Bearer {key}")
            for key in ("k", "m", "-")
        ]
        heard = lambda: [bool(wire.transport.value()) for wire in wires]  # noqa: E731
        front.house.clock.advance(1)
        self.assertEqual(heard(), [True, False, False])
        front.house.clock.pump([1] * 8)
        self.assertEqual(heard(), [True, False, True])

    def test_app_is_allowed_what_its_profile_says(self) -> None:
        guard = guard_of(
            {
                "ha": {
                    "key": "k",
                    "client_tools": "on",
                    "client_system": "append",
                    "on_disconnect": "grace:5",
                },
                "some": {"key": "m", "client_tools": "header"},
            }
        )
        for headers, expected in (
            ({}, ("off", False, 0.0)),
            ({"authorization": "Bearer k"}, ("on", True, 5.0)),
            ({"authorization": "Bearer m"}, ("off", False, 0.0)),
            ({"authorization": "Bearer m", "x-llamaproxy-tools": "client"}, ("on", False, 0.0)),
            ({"x-llamaproxy-tools": "client"}, ("off", False, 0.0)),
        ):
            request: Any = DummyRequest([])
            request.client = IPv4Address("TCP", LAN, 1)
            for name, value in headers.items():
                request.requestHeaders.setRawHeaders(name, [value])
            allowance = guard.caller(request).allowance
            found = (allowance.client_tools, allowance.client_system, allowance.on_disconnect)
            self.assertEqual(found, expected, headers)
