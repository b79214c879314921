"""Web pages from elsewhere: who may come in, and what their browsers need to hear."""

from llamaproxy.seams.errors import ModelError
from llamaproxy.web.cors import Cors, ollama_origins
from llamaproxy.web.guard import Guard
from tests.support import Front, Response
from tests.web.test_routes import OLLAMA, OPENAI, WebCase, ask

PAGE = "http://localhost:3000"
ELSEWHERE = "https://evil.example"
# What openai-node asks for in a browser.
SDK_HEADERS = "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-retry-count"


class OriginTests(WebCase):
    def code(self, origin: str, path: str = "/api/version") -> int:
        return self.front.ask("GET", path, origin=origin).code

    def test_local_pages_and_apps_may_come_in(self) -> None:
        for origin in (
            "http://localhost",
            PAGE,
            "https://localhost:8443",
            "http://127.0.0.1:5173",
            "http://[::1]:3000",
            "http://tauri.localhost",
            "app://obsidian.md",
            "file://",
            "tauri://localhost",
            "vscode-webview://0a1b",
            "vscode-file://vscode-app",
            "capacitor://localhost",
            "ionic://localhost",
        ):
            response = self.front.ask("GET", "/api/version", origin=origin)
            self.assertEqual((response.code, response.headers["access-control-allow-origin"]), (200, origin))
            self.assertEqual(response.headers["vary"], "Origin")

    def test_pages_from_elsewhere_are_refused_whatever_they_ask(self) -> None:
        for origin in (ELSEWHERE, "http://localhost.evil.example", "https://evil.example:11434", "null"):
            for method, path in (("GET", "/"), ("POST", OLLAMA), ("POST", OPENAI), ("OPTIONS", OLLAMA)):
                response = self.front.ask(method, path, ask(), origin=origin)
                self.assertEqual((response.code, response.headers["vary"]), (403, "Origin"))
                self.assertNotIn("access-control-allow-origin", response.headers)
        self.assertEqual(self.house.calls, [])

    def test_refusal_names_the_key_in_the_dialect_of_the_path(self) -> None:
        error = self.front.ask("POST", OLLAMA, ask(), origin=ELSEWHERE).json()["error"]
        self.assertIn("llama_origins", error)
        error = self.front.ask("POST", OPENAI, ask(), origin=ELSEWHERE).json()["error"]
        self.assertEqual((error["code"], ELSEWHERE in error["message"]), ("forbidden", True))

    def test_operator_adds_origins_with_wildcards_or_all(self) -> None:
        for pattern, origin in (
            ("https://chat.example.org", "https://chat.example.org"),
            ("https://Chat.Example.org/", "https://chat.example.org"),
            ("https://*.example.org", "https://a.b.example.org"),
            ("chrome-extension://*", "chrome-extension://abc"),
            ("*", ELSEWHERE),
            ("null", "null"),
        ):
            self.assertEqual(self.code(origin), 403, pattern)
            self.front = Front(self.house, cors=Cors([pattern]))
            self.assertEqual(self.code(origin), 200, pattern)
            self.assertEqual(self.code(PAGE), 200)
            self.front = Front(self.house)

    def test_ollamas_own_variable_is_understood(self) -> None:
        self.assertEqual(
            ollama_origins({"OLLAMA_ORIGINS": "https://a.example, app://* ,"}),
            ["https://a.example", "app://*"],
        )
        self.assertEqual(ollama_origins({}), [])

    def test_dot_in_an_origin_is_a_dot(self) -> None:
        self.front = Front(self.house, cors=Cors(["https://chat.example.org"]))
        self.assertEqual(self.code("https://chatxexample.org"), 403)

    def test_request_without_an_origin_or_from_the_servers_own_page_gets_no_cors_headers(self) -> None:
        own: tuple[dict[str, str], ...] = ({}, {"origin": "http://phone"}, {"origin": "https://phone"})
        for headers in own:
            response = self.front.connect().send("GET", "/api/version", b"", **headers).response()
            self.assertEqual(response.code, 200)
            self.assertFalse({"vary", "access-control-allow-origin"} & response.headers.keys())


class AnswerTests(WebCase):
    def check_readable(self, response: Response, code: int) -> None:
        self.assertEqual(response.code, code)
        self.assertEqual(response.headers["access-control-allow-origin"], PAGE)

    def test_page_may_read_streams_errors_and_whole_answers(self) -> None:
        for path in (OLLAMA, OPENAI):
            for stream in (True, False):
                wire = self.start(path, ask(stream=stream), origin=PAGE)
                self.house.calls[-1].say("Hi")
                self.house.calls[-1].finish()
                self.check_readable(wire.response(), 200)
            wire = self.start(path, ask(), origin=PAGE)
            self.house.calls[-1].fail(ModelError("down"))
            self.check_readable(wire.response(), 502)
            self.check_readable(self.front.ask("POST", path, b"{", origin=PAGE), 400)
            self.check_readable(self.front.ask("POST", path, b"x" * 100_001, origin=PAGE), 413)
        self.check_readable(self.front.ask("GET", "/nothing", origin=PAGE), 404)

    def test_page_may_read_answers_to_what_could_not_be_parsed(self) -> None:
        more = {"accept": "*/*", "x_big": "a" * 100_000}
        wire = self.front.connect().send("POST", OLLAMA, ask(), origin=PAGE, **more)
        self.check_readable(wire.response(), 431)
        wire = self.front.connect().send("POST", OLLAMA, b"{}", origin=PAGE, transfer_encoding="odd")
        self.check_readable(wire.response(), 400)

    def test_page_may_read_why_a_stranger_is_refused(self) -> None:
        wire = self.front.connect("8.8.8.8").send("POST", OLLAMA, ask(), origin=PAGE)
        self.check_readable(wire.response(), 403)


class PreflightTests(WebCase):
    def preflight(self, path: str, **headers: str) -> Response:
        headers |= {"origin": PAGE, "access_control_request_method": "POST"}
        return self.front.ask("OPTIONS", path, b"", **headers)

    def test_every_path_grants_every_header_that_is_asked_for(self) -> None:
        for path in ("/", "/v1", OLLAMA, "/v1/api/chat/", OPENAI, "/models", "/nothing", "*"):
            response = self.preflight(path, access_control_request_headers=SDK_HEADERS)
            self.assertEqual((response.code, response.body), (204, b""), path)
            self.assertEqual(response.headers["access-control-allow-origin"], PAGE)
            self.assertEqual(response.headers["access-control-allow-headers"], SDK_HEADERS)
            self.assertIn("DELETE", response.headers["access-control-allow-methods"])
            self.assertEqual(response.headers["access-control-max-age"], "43200")
            self.assertIn("Origin", response.headers["vary"])

    def test_preflight_that_names_no_headers_gets_the_usual_ones(self) -> None:
        self.assertIn("Authorization", self.preflight(OPENAI).headers["access-control-allow-headers"])

    def test_private_network_is_granted_only_when_asked_for(self) -> None:
        name = "access-control-allow-private-network"
        self.assertNotIn(name, self.preflight(OPENAI).headers)
        response = self.preflight(OPENAI, access_control_request_private_network="true")
        self.assertEqual(response.headers[name], "true")

    def test_preflight_needs_no_key(self) -> None:
        self.front = Front(self.house, Guard(api_keys={"phone": "s3cret"}))
        wire = self.front.connect("8.8.8.8")
        wire.send("OPTIONS", OPENAI, origin=PAGE, access_control_request_method="POST")
        self.assertEqual(wire.response().code, 204)

    def test_options_without_an_origin_names_the_methods(self) -> None:
        response = self.front.ask("OPTIONS", OLLAMA)
        self.assertEqual((response.code, "POST" in response.headers["allow"]), (204, True))
