"""Who gets what of the pages: the operator everything, others the chat, pages of other origins nothing."""

from typing import Any

from llamaproxy.console.door import LINK_LASTS, VISIT_LASTS
from llamaproxy.seams.errors import ModelUnavailable

from .case import KEY, PagesCase, heard

VIEWS = ("/console/me", "/console/live", "/console/trace", "/console/log", "/console/sessions")
CHANGES: dict[str, dict[str, Any]] = {
    "/console/decide": {"session_id": "s", "code": "ABCD", "decision": "yes"},
    "/console/switch": {"kind": "tools", "name": "files", "side": "read", "allowed": True},
    "/console/words": {"session_id": "s", "minutes": 5},
    "/console/stop": {"session_id": "s"},
    "/console/model": {"key": "main", "to": "off"},
    "/console/reload": {},
    "/console/pair": {},
    "/console/checkup": {},
    "/console/leave": {},
}


class FrontTests(PagesCase):
    def test_bare_address_is_a_page_for_browsers_and_a_probe_for_everybody_else(self) -> None:
        browser = {"Accept": "text/html,application/xhtml+xml"}
        # Over plain HTTP to another machine browsers send no Sec-Fetch-Mode, and Safari nothing else in its place.
        safari = {"User_Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 15_6 like Mac OS X) AppleWebKit/605.1.15"}
        for headers in ({"Sec_Fetch_Mode": "navigate"}, {"Upgrade_Insecure_Requests": "1"}, safari):
            answer = self.front.ask("GET", "/", b"", **browser, **headers)
            self.assertTrue(answer.headers["content-type"].startswith("text/html"), headers)
        programs: tuple[dict[str, str], ...] = (
            {},
            browser,
            safari,
            {"Accept": "*/*"},
            {"Accept": "*/*", "User_Agent": "curl/8.5.0"},
            {"User_Agent": "ollama/0.13.0 (amd64 linux) Go/go1.24.1"},
            {"Accept": "*/*", "User_Agent": "Enchanted/1.8 CFNetwork/1494.0.7 Darwin/23.4.0"},
            {"Accept": "*/*", "User_Agent": "axios/1.6.8"},
            {"Accept": "application/json, text/plain, */*", **safari},
            {**browser, "Sec_Fetch_Mode": "cors"},
            {**browser, **safari, "Sec_Fetch_Mode": "cors"},
            {**browser, "User_Agent": "Mozilla/5.0 (compatible; UptimeRobot/2.0)"},
            {**browser, "User_Agent": "python-requests/2.31 Mozilla/5.0 (like)"},
        )
        for headers in programs:
            self.assertEqual(self.front.ask("GET", "/", b"", **headers).body, b"Ollama is running", headers)
        self.assertEqual(self.front.ask("GET", "/v1", b"", **browser, **safari).body, b"Ollama is running")
        self.assertEqual(self.front.ask("HEAD", "/", b"", **browser, Sec_Fetch_Mode="navigate").body, b"")

    def test_pages_load_nothing_from_elsewhere_and_stand_in_no_frame(self) -> None:
        for path in ("/console", "/chat", "/chat/chat.js", "/console/me"):
            answer = self.front.ask("GET", path)
            policy = answer.headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")

    def test_a_file_that_the_browser_has_is_not_sent_again(self) -> None:
        first = self.front.ask("GET", "/chat/chat.js")
        again = self.front.ask("GET", "/chat/chat.js", If_None_Match=first.headers["etag"])
        self.assertEqual((first.code, again.code, again.body), (200, 304, b""))

    def test_unknown_paths_and_wrong_methods_are_told(self) -> None:
        self.assertEqual(self.front.ask("GET", "/console/nothing").code, 404)
        self.assertEqual(self.front.ask("POST", "/chat", b"{}").code, 405)
        self.assertEqual(self.front.ask("GET", "/console/decide").code, 405)
        self.assertEqual(self.front.ask("GET", "/consoles").code, 404)


class DoorTests(PagesCase):
    def test_only_the_operator_sees_and_changes(self) -> None:
        for path in VIEWS:
            self.assertEqual(self.front.ask("GET", path).code, 401, path)
        for path, body in CHANGES.items():
            self.assertEqual(self.front.ask("POST", path, body).code, 401, path)
        self.assertEqual(self.front.ask("POST", "/console/link", b"{}").code, 401)
        # Being at the server's own machine is not enough: any program's page is there.
        self.assertEqual(self.front.connect("127.0.0.1").send("GET", "/console/me").response().code, 401)

    def test_link_works_once_and_not_for_long(self) -> None:
        code = self.link()
        first = self.front.ask("POST", "/console/enter", {"code": code})
        again = self.front.ask("POST", "/console/enter", {"code": code})
        self.assertEqual((first.code, again.code), (200, 401))
        late = self.link()
        self.house.clock.advance(LINK_LASTS + 1)
        self.assertEqual(self.front.ask("POST", "/console/enter", {"code": late}).code, 401)

    def test_cookie_is_for_the_browser_alone_and_ends(self) -> None:
        answer = self.front.ask("POST", "/console/enter", {"code": self.link()})
        cookie = answer.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/console"):
            self.assertIn(part, cookie)
        sent = cookie.partition(";")[0]
        self.assertEqual(self.front.ask("GET", "/console/me", Cookie=sent).code, 200)
        self.house.clock.advance(VISIT_LASTS + 1)
        self.assertEqual(self.front.ask("GET", "/console/me", Cookie=sent).code, 401)

    def test_change_needs_the_pages_token(self) -> None:
        cookie, token = self.visit()
        for sent in ("", "wrong", token[:-1]):
            answer = self.front.ask(
                "POST", "/console/words", CHANGES["/console/words"], Cookie=cookie, X_Console_Token=sent
            )
            self.assertEqual(answer.code, 403, sent)
        self.assertEqual(self.change("/console/words", CHANGES["/console/words"]).code, 200)

    def test_log_out_ends_the_visit(self) -> None:
        cookie, token = self.visit()
        self.front.ask("POST", "/console/leave", {}, Cookie=cookie, X_Console_Token=token)
        self.assertEqual(self.front.ask("GET", "/console/me", Cookie=cookie).code, 401)

    def test_pages_of_other_origins_neither_read_nor_change(self) -> None:
        cookie, token = self.visit()
        shown = {"Cookie": cookie, "X_Console_Token": token}
        # Local ones may speak to the API, which is another matter.
        for origin in (
            "http://localhost:3000",
            "http://evil.example",
            "null",
            "app://x",
            "http://phone:8080",
        ):
            for method, path in (
                ("GET", "/console/me"),
                ("POST", "/console/words"),
                ("OPTIONS", "/console/words"),
            ):
                answer = self.front.ask(
                    method,
                    path,
                    b"{}" if method == "POST" else b"",
                    Origin=origin,
                    Access_Control_Request_Method="POST",
                    **shown,
                )
                self.assertEqual(answer.code, 403, (origin, method))
                self.assertNotIn("access-control-allow-origin", answer.headers)
        for site in ("cross-site", "same-site"):
            answer = self.front.ask("GET", "/console/trace", b"", Sec_Fetch_Site=site, **shown)
            self.assertEqual(answer.code, 403, site)
        self.assertEqual(self.front.ask("GET", "/console/me", b"", Origin="http://phone", **shown).code, 200)

    def test_program_with_the_operators_key_needs_no_cookie(self) -> None:
        for path in ("/console/trace", "/console/log"):
            self.assertEqual(self.front.ask("GET", path, Authorization=f"Bearer {KEY}").code, 200, path)


class ChangeTests(PagesCase):
    def test_bodies_that_are_not_what_is_taken_are_told(self) -> None:
        for body in (b"", b"{", b"[]", b'{"session_id": 1}', b"\xff"):
            cookie, token = self.visit()
            answer = self.front.ask("POST", "/console/words", body, Cookie=cookie, X_Console_Token=token)
            self.assertEqual(answer.code, 400, body)

    def test_switch_holds_at_once_and_is_kept_in_the_file(self) -> None:
        self.change("/console/switch", CHANGES["/console/switch"])
        self.assertEqual(self.files.kept, [("tools", "files", "read", True)])
        self.assertEqual(self.house.agent.parts.bench.gate_defaults["tools"]["files"], {"read": True})

    def test_words_are_kept_for_a_session_and_a_time(self) -> None:
        self.change("/console/words", {"session_id": "llama-192.168.1.20", "minutes": 1})
        self.assertEqual(list(self.house.recorder.listened()), ["llama-192.168.1.20"])
        self.change("/console/words", {"session_id": "llama-192.168.1.20", "minutes": 0})
        self.assertEqual(self.house.recorder.listened(), {})


class FeedTests(PagesCase):
    def test_console_hears_of_a_stream_and_then_of_its_record(self) -> None:
        wire = self.listen()
        self.assertIn(b"event: streams\ndata: []", heard(wire))
        self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": "a secret"}]})
        self.house.calls[-1].say("one", " two")
        self.house.clock.advance(1)
        frames = heard(wire)
        self.assertIn(b"llama-192.168.1.20", frames)
        self.assertIn(b'"pieces":2', frames)
        self.house.calls[-1].finish()
        self.house.clock.advance(1)
        frames = heard(wire)
        self.assertIn(b"event: records\n", frames)
        self.assertIn(b"event: streams\ndata: []", frames)
        self.assertNotIn(b"secret", frames)

    def test_what_has_not_changed_is_not_sent_again(self) -> None:
        wire = self.listen()
        heard(wire)
        self.house.clock.advance(1)
        self.assertNotIn(b"event: models", heard(wire))

    def test_nothing_waits_for_a_browser_that_does_not_read_and_it_is_dropped_in_the_end(self) -> None:
        wire = self.listen()
        heard(wire)
        wire.fill_up()
        self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": "hi"}]})
        self.house.clock.pump([1] * 10)
        self.assertEqual(heard(wire), b"")
        wire.drain()
        self.house.clock.advance(1)
        self.assertIn(b"event: streams", heard(wire))
        wire.fill_up()
        self.house.clock.pump([1] * 61)
        self.assertTrue(wire.aborted)

    def test_console_does_not_hold_up_the_end_of_the_server(self) -> None:
        self.listen()
        closed = self.front.site.close()
        self.house.clock.advance(1)
        for connection in list(self.front.site.connections):
            connection.connectionLost()
        self.successResultOf(closed)

    def test_sessions_are_sent_again_when_somebody_talks_and_not_as_time_goes_by(self) -> None:
        wire = self.listen()
        self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": "hi"}]})
        self.house.calls[-1].finish()
        self.house.clock.advance(1)
        heard(wire)
        self.house.clock.pump([1] * 5)
        self.assertNotIn(b"event: sessions", heard(wire))

    def test_any_session_in_memory_is_found_by_a_part_of_its_name(self) -> None:
        for address in ("10.0.0.1", "10.0.0.2", "192.168.1.7"):
            self.front.connect(address).send(
                "POST", "/api/chat", {"model": "main", "messages": [{"role": "user", "content": "!help"}]}
            )
        cookie, _ = self.visit()

        def found(like: str) -> list[str]:
            answer = self.front.ask("GET", f"/console/sessions?like={like}", Cookie=cookie).json()
            return [each["session_id"] for each in answer["sessions"]]

        self.assertEqual(sorted(found("10.0.0")), ["llama-10.0.0.1", "llama-10.0.0.2"])
        self.assertEqual(found("LLAMA-192"), ["llama-192.168.1.7"])
        self.assertEqual((found("nobody"), len(found(""))), ([], 3))

    def test_model_that_goes_down_is_seen(self) -> None:
        wire = self.listen()
        self.assertIn(b'"is_well":true', heard(wire))
        self.start("/api/chat", {"model": "main", "messages": [{"role": "user", "content": "hi"}]})
        self.house.calls[-1].fail(ModelUnavailable("nobody there"))
        self.house.clock.advance(1)
        self.assertIn(b'"error":"model_unavailable: nobody there"', heard(wire))
