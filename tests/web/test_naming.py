from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

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
        headers = [Headers({b"X-Llamaproxy-Chat": [name]}) for name in sent]
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


class WhoamiTests(SynchronousTestCase):
    def test_rights_are_told(self) -> None:
        front = Front(House(folder=Path(self.mktemp())), Guard(commands="safe"))
        answer = front.connect("192.168.1.2").send("POST", "/api/chat", WHO).response()
        self.assertIn("Rights: commands about your own conversation", answer.json()["message"]["content"])
        front = Front(House(folder=Path(self.mktemp())))
        answer = front.connect("127.0.0.1").send("POST", "/api/chat", WHO).response()
        self.assertIn("Rights: all commands, as the operator", answer.json()["message"]["content"])
