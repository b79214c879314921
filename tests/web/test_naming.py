from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import FrontDoor
from llamaproxy.web.guard import Guard
from llamaproxy.web.naming import Naming
from tests.support import Front, House

WHO = {"messages": [{"role": "user", "content": "!whoami"}], "stream": False}
KEYS = {"anna": "a", "ben": "b"}


class NamingTests(SynchronousTestCase):
    def who(self, guard: Guard, address: str = "127.0.0.1", **headers: str) -> tuple[str, str]:
        """The session of a request, and what decided it, as `!whoami` has them."""
        front = Front(House(folder=Path(self.mktemp())), guard)
        answer = front.connect(address).send("POST", "/api/chat", WHO, **headers).response()
        session, _, rung = answer.json()["message"]["content"].splitlines()[0].partition(", by ")
        return session.removeprefix("Session: ").partition(" (")[0], rung

    def test_address_alone_is_the_session(self) -> None:
        self.assertEqual(self.who(Guard(), "192.168.1.2"), ("llama-192.168.1.2", "address"))

    def test_chats_and_users_of_this_machine_have_their_own(self) -> None:
        chat, user = {"X_OpenWebUI_Chat_Id": "4c3f-9"}, {"X_OpenWebUI_User_Id": "u7"}
        by_chat = ("llama-127.0.0.1-4c3f-9", "chat header X-OpenWebUI-Chat-Id")
        self.assertEqual(self.who(Guard(), **chat), by_chat)
        self.assertEqual(self.who(Guard(), **chat, **user), by_chat)
        by_user = ("llama-127.0.0.1-u7", "user header X-OpenWebUI-User-Id")
        self.assertEqual(self.who(Guard(), **user), by_user)

    def test_headers_of_a_stranger_are_not_believed(self) -> None:
        chat = {"X_Llamaproxy_Chat": "work"}
        self.assertEqual(self.who(Guard(), "192.168.1.2", **chat)[0], "llama-192.168.1.2")
        relayed = self.who(Guard(), X_Forwarded_For="192.168.1.2", **chat)
        self.assertEqual(relayed[0], "llama-127.0.0.1")

    def test_headers_from_a_trusted_proxy_are_believed(self) -> None:
        guard = Guard(trusted_proxies=["10.0.0.1"])
        headers = {"X_Forwarded_For": "192.168.1.2", "X_Llamaproxy_Chat": "work"}
        self.assertEqual(self.who(guard, "10.0.0.1", **headers)[0], "llama-192.168.1.2-work")

    def test_key_separates_those_who_share_an_address(self) -> None:
        guard = Guard(api_keys=KEYS)
        anna = self.who(guard, "192.168.1.2", Authorization="Bearer a")
        self.assertEqual(anna, ("llama-192.168.1.2-anna", "API key 'anna'"))
        wrong = self.who(guard, "192.168.1.2", Authorization="Bearer x")
        self.assertEqual(wrong, ("llama-192.168.1.2", "address"))

    def test_nobody_gets_into_the_session_of_another_key_by_a_header(self) -> None:
        guard = Guard(api_keys=KEYS)
        session, rung = self.who(guard, "192.168.1.2", Authorization="Bearer b", X_Llamaproxy_Chat="anna")
        self.assertEqual((session, rung), ("llama-192.168.1.2-ben.anna", "chat header X-Llamaproxy-Chat"))

    def test_header_that_reads_like_a_key_leads_into_no_session_of_that_key(self) -> None:
        guard = Guard(api_keys={**KEYS, "ann": "c", "ann.x": "d"}, trusted_proxies=["10.0.0.1"])

        def session(chat: str, **headers: str) -> str:
            headers = {
                "X_Forwarded_For": "192.168.1.2",
                **headers,
                **({"X_Llamaproxy_Chat": chat} if chat else {}),
            }
            return self.who(guard, "10.0.0.1", **headers)[0]

        for chat in ("", "work"):
            own = session(chat, Authorization="Bearer a")
            self.assertEqual(own, "llama-192.168.1.2-anna" + (chat and f".{chat}"))
            self.assertNotEqual(session(f"anna.{chat}".strip(".")), own)
            self.assertNotEqual(session(f".anna.{chat}".strip(".")), own)
        own = session("y", Authorization="Bearer d")
        self.assertEqual(own, "llama-192.168.1.2-ann.x.y")
        self.assertNotEqual(session("x.y", Authorization="Bearer c"), own)
        self.assertEqual(session("annalise"), "llama-192.168.1.2-annalise")

    def test_names_that_are_no_text_are_names_all_the_same(self) -> None:
        sent = [b"\xff\xfe", b"\xff\xff", b"a\x80", "\u00e4".encode(), b"\xe4", b"a", b"\xc2\xa0a", b"A"]
        headers = [{b"X-Llamaproxy-Chat": [name]} for name in sent]
        ids = {Naming().session("127.0.0.1", each, None, believed=True)[0] for each in headers}
        self.assertEqual(len(ids), len(sent))
        self.assertTrue(all(session_id.isascii() for session_id in ids))

    def test_what_agents_ask_is_apart_from_what_people_say_at_the_same_address(self) -> None:
        guard = Guard(api_keys=KEYS)
        by_address = ("llama-192.168.1.2-asked-1", "address, for an agent's question")
        self.assertEqual(self.who(guard, "192.168.1.2", X_Llamaproxy_Depth="1"), by_address)
        deep = self.who(guard, "192.168.1.2", X_Llamaproxy_Depth="77", Authorization="Bearer a")
        self.assertEqual(deep[0], "llama-192.168.1.2-anna.asked-9")
        chat = self.who(guard, X_Llamaproxy_Depth="2", X_Llamaproxy_Chat="work")
        self.assertEqual(chat[0], "llama-127.0.0.1-work.asked-2")

    def test_odd_names_are_made_plain_and_long_ones_short_without_becoming_one(self) -> None:
        names = ["../../etc", "a b", "a  b", "ä" * 3, "x" * 500, "x" * 501, "%00\x7f"]
        sessions = [self.who(Guard(), X_Llamaproxy_Chat=name)[0] for name in names]
        self.assertEqual(len(set(sessions)), len(names))
        for session in sessions:
            self.assertRegex(session, r"^llama-127\.0\.0\.1-[A-Za-z0-9._-]{1,64}$")

    def test_operator_says_what_counts(self) -> None:
        door = FrontDoor(session_by=("user_header",), user_headers=("X-Who",))
        guard = Guard(api_keys=KEYS, naming=Naming(door))
        headers = {"X_Who": "me", "X_Llamaproxy_Chat": "work", "Authorization": "Bearer a"}
        self.assertEqual(self.who(guard, **headers)[0], "llama-127.0.0.1-me")
        nothing = Guard(api_keys=KEYS, naming=Naming(FrontDoor(session_by=())))
        self.assertEqual(self.who(nothing, **headers)[0], "llama-127.0.0.1")


class ClientNamesTests(SynchronousTestCase):
    """What clients say of themselves, where the operator has sessions named by it."""

    def who(
        self, path: str, door: FrontDoor, body: dict[str, Any], address: str = "127.0.0.1", **headers: str
    ) -> str:
        front = Front(House(folder=Path(self.mktemp())), Guard(naming=Naming(door)))
        answer = front.connect(address).send("POST", path, body, **headers).response().body.decode()
        return answer.partition("Session: ")[2].partition("\\n")[0]

    def test_headers_of_coding_clients_are_names_once_asked_for(self) -> None:
        body = {"model": "m", "max_tokens": 9, "messages": WHO["messages"]}
        for header in ("X_Claude_Code_Session_Id", "Session_Id", "Thread_Id", "X_Session_Id"):
            named = self.who("/v1/messages", FrontDoor(session_by=("client_header",)), body, **{header: "s1"})
            self.assertTrue(named.startswith("llama-127.0.0.1-s1 ("), named)
            self.assertIn("client header", named)
            plain = self.who("/v1/messages", FrontDoor(), body, **{header: "s1"})
            self.assertTrue(plain.startswith("llama-127.0.0.1 ("), plain)

    def test_fields_of_the_body_are_names_once_asked_for(self) -> None:
        chat = {"model": "m", "messages": WHO["messages"]}
        items = {"model": "m", "input": WHO["messages"]}
        for path, body, name in (
            ("/v1/chat/completions", {**chat, "user": "anna"}, "anna"),
            ("/v1/chat/completions", {**chat, "user": "anna", "prompt_cache_key": "k"}, "k"),
            ("/v1/chat/completions", {**chat, "safety_identifier": "s", "user": "anna"}, "s"),
            ("/v1/chat/completions", {**chat, "metadata": {"conversation_id": 7}}, "7"),
            ("/v1/responses", {**items, "conversation": {"id": "conv_1"}}, "conv_1"),
            ("/v1/responses", {**items, "conversation": "conv_2", "user": "anna"}, "conv_2"),
            ("/v1/messages", {**chat, "max_tokens": 9, "metadata": {"user_id": "u9"}}, "u9"),
            ("/v1/chat/completions", {**chat, "user": {"odd": 1}, "metadata": [5], "conversation": True}, ""),
            ("/v1/chat/completions", chat, ""),
        ):
            expected = f"llama-127.0.0.1-{name} (" if name else "llama-127.0.0.1 ("
            named = self.who(path, FrontDoor(session_by=("body_field",)), body)
            self.assertTrue(named.startswith(expected), (named, body))
            stranger = self.who(path, FrontDoor(session_by=("body_field",)), body, "192.168.1.2")
            self.assertTrue(stranger.startswith("llama-192.168.1.2 ("), stranger)

    def test_field_that_the_operator_names_is_the_one_that_counts(self) -> None:
        door = FrontDoor(session_by=("body_field",), body_fields=("metadata.a.b", "user"))
        body = {"model": "m", "messages": WHO["messages"], "metadata": {"a": {"b": "deep"}}, "user": "anna"}
        self.assertTrue(self.who("/v1/chat/completions", door, body).startswith("llama-127.0.0.1-deep ("))


class ManyUsersTests(SynchronousTestCase):
    """Who is not the operator, although the request comes from the machine itself."""

    KEYS = {"all": "k"}

    def is_operator(self, **headers: str) -> bool:
        guard = Guard(api_keys=self.KEYS, key_commands={"all": "all"})
        front = Front(House(folder=Path(self.mktemp())), guard)
        answer = front.connect("127.0.0.1").send("POST", "/api/chat", WHO, **headers).response()
        return "as the operator" in answer.json()["message"]["content"]

    def test_person_at_the_machine_is(self) -> None:
        for agent in (
            "ollama/0.33 (amd64 linux)",
            "curl/8",
            "OpenAI/Python 3.54.0",
            "claude-cli/2.1",
            "Mozilla/5.0",
        ):
            self.assertTrue(self.is_operator(User_Agent=agent), agent)
        self.assertTrue(self.is_operator(X_Claude_Code_Session_Id="s1"))

    def test_user_or_chat_of_an_app_is_not(self) -> None:
        for header in (
            "X_OpenWebUI_User_Id",
            "X_OpenWebUI_User_Email",
            "X_OpenWebUI_Chat_Id",
            "X_Llamaproxy_User",
        ):
            self.assertFalse(self.is_operator(**{header: "u1"}), header)
        self.assertFalse(self.is_operator(X_Llamaproxy_Chat="c1"))

    def test_app_that_serves_many_is_not_though_it_says_nothing_of_them(self) -> None:
        for agent in ("Python/3.11 aiohttp/3.14.5", "LibreChat/0.8", "LobeChat", "open-webui"):
            self.assertFalse(self.is_operator(User_Agent=agent), agent)

    def test_key_of_the_operator_counts_but_for_a_user_of_an_app(self) -> None:
        key = {"Authorization": "Bearer k"}
        self.assertTrue(self.is_operator(**key, User_Agent="Python/3.11 aiohttp/3.14.5"))
        self.assertTrue(self.is_operator(**key, X_Llamaproxy_Chat="work"))
        self.assertFalse(self.is_operator(**key, X_OpenWebUI_User_Id="u1"))


class WhoamiTests(SynchronousTestCase):
    def test_rights_are_told(self) -> None:
        front = Front(House(folder=Path(self.mktemp())), Guard(commands="safe"))
        answer = front.connect("192.168.1.2").send("POST", "/api/chat", WHO).response()
        self.assertIn("Rights: commands about your own conversation", answer.json()["message"]["content"])
        front = Front(House(folder=Path(self.mktemp())))
        answer = front.connect("127.0.0.1").send("POST", "/api/chat", WHO).response()
        self.assertIn("Rights: all commands, as the operator", answer.json()["message"]["content"])
