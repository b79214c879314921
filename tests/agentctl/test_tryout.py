"""`agentctl model-test` against vendors that refuse as theirs do: what is wrong is told apart from what is right."""

from typing import Any, ClassVar

from msgspec import json
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agentctl.answers import Refusal, piece_of
from llamaproxy.agentctl.finding import Answered

from .helpers import AgentctlCase
from .test_setup import Stub, StubCase

KEY = "sk-the-wrong-one"
Said = tuple[int, Any]


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


# What a vendor's server answers to who wants its list, and to a question; what is told then.
WRONG: tuple[tuple[str, str, Said, Said, str, str], ...] = (
    (
        "OpenAI, name",
        "OPENAI",
        (200, {"data": [{"id": "gpt-x"}, {"id": "other"}]}),
        (
            404,
            error(
                "The model `gpt-y` does not exist or you do not have access to it.", code="model_not_found"
            ),
        ),
        "✗ name: The model `gpt-y` does not exist or you do not have access to it.; there is gpt-x, other",
        "has no model gpt-y",
    ),
    (
        "OpenAI, key",
        "OPENAI",
        (401, error(f"Incorrect API key provided: {KEY}. Find yours at our site.", code="invalid_api_key")),
        (500, {}),
        "✗ key: its server refuses it (Incorrect API key provided: ***.",
        "needs another key",
    ),
    (
        "OpenRouter, key",
        "OPENAI",
        (200, {"data": [{"id": "gpt-y"}]}),
        (401, error("No auth credentials found", code=401)),
        "✗ key: its server refuses it (No auth credentials found)",
        "needs another key",
    ),
    (
        "xAI, key",
        "OPENAI",
        (
            400,
            {
                "code": "invalid argument",
                "error": "Incorrect API key provided: sk***ne. You can get one at x.",
            },
        ),
        (500, {}),
        "✗ key",
        "needs another key",
    ),
    (
        "Gemini, key",
        "OPENAI",
        (400, [error("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT")]),
        (500, {}),
        "✗ key",
        "needs another key",
    ),
    (
        "Gemini, name",
        "OPENAI",
        (200, {"data": [{"id": "models/gemini-x"}]}),
        (404, [error("models/gpt-y is not found for API version v1main, or is not supported.")]),
        "there is gemini-x",
        "has no model",
    ),
    (
        "DeepSeek, name",
        "OPENAI",
        (200, {"data": [{"id": "deepseek-chat"}]}),
        (400, error("Model Not Exist", type="invalid_request_error")),
        "✗ name: Model Not Exist; there is deepseek-chat",
        "has no model",
    ),
    (
        "Mistral, name",
        "OPENAI",
        (200, {"data": [{"id": "mistral-small"}]}),
        (
            400,
            {"object": "error", "message": "Invalid model: gpt-y", "type": "invalid_model", "code": "1500"},
        ),
        "✗ name: Invalid model: gpt-y",
        "has no model",
    ),
    (
        "OpenRouter, name",
        "OPENAI",
        (200, {"data": []}),
        (400, error("gpt-y is not a valid model ID", code=400)),
        "✗ name: gpt-y is not a valid model ID",
        "has no model",
    ),
    (
        "vLLM, name",
        "OPENAI",
        (200, {"data": [{"id": "qwen"}]}),
        (404, error("The model `gpt-y` does not exist.", type="NotFoundError", code=404)),
        "✗ name",
        "has no model",
    ),
    (
        "OpenAI, money",
        "OPENAI",
        (200, {"data": [{"id": "gpt-y"}]}),
        (429, error("You exceeded your current quota, please check your plan.", code="insufficient_quota")),
        "✗ answers: status 429: You exceeded your current quota",
        "does not answer",
    ),
    (
        "Anthropic, key",
        "ANTHROPIC",
        (401, {"type": "error", **error("invalid x-api-key", type="authentication_error")}),
        (500, {}),
        "✗ key: its server refuses it (invalid x-api-key)",
        "needs another key",
    ),
    (
        "Anthropic, name",
        "ANTHROPIC",
        (200, {"data": [{"id": "claude-x"}]}),
        (404, {"type": "error", **error("model: gpt-y", type="not_found_error")}),
        "✗ name: model: gpt-y; there is claude-x",
        "has no model",
    ),
    (
        "Anthropic, money",
        "ANTHROPIC",
        (200, {"data": [{"id": "gpt-y"}]}),
        (400, {"type": "error", **error("Your credit balance is too low to access the Anthropic API.")}),
        "✗ answers: status 400: Your credit balance is too low",
        "does not answer",
    ),
    (
        "Ollama, name",
        "OLLAMA",
        (200, {"models": [{"name": "qwen3:8b"}, {"name": "gpt-z:latest"}]}),
        (404, {"error": "model 'gpt-y' not found"}),
        "✗ name: there is gpt-z:latest, qwen3:8b",
        "has no model",
    ),
    (
        "Ollama, memory",
        "OLLAMA",
        (200, {"models": [{"name": "gpt-y:latest"}]}),
        (500, {"error": "model requires more system memory (9 GiB) than is available (4 GiB)"}),
        "✗ answers: status 500: model requires more system memory",
        "does not answer",
    ),
    (
        "a proxy's page",
        "OPENAI",
        (200, b"<html>Welcome to nginx</html>"),
        (200, b"<html>Welcome to nginx</html>"),
        "✗ answers",
        "does not answer",
    ),
    (
        "an error in the stream",
        "OLLAMA",
        (200, {"models": [{"name": "gpt-y:latest"}]}),
        (200, {"error": "an error was encountered while running the model"}),
        "✗ answers: an error was encountered",
        "does not answer",
    ),
)


class Vendor(Stub):
    """Says what its table has."""

    listed: ClassVar[Said]
    said: ClassVar[Said]

    def do_GET(self) -> None:
        self.give(self.listed)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.give(self.said)

    def give(self, said: Said) -> None:
        status, body = said
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.encode(body))


class Talker(Stub):
    """Answers questions, as a kind of server does; `vision` is what it says of a picture."""

    vision: ClassVar[Said] = (200, "I cannot see pictures, which is incorrectly assumed.")
    tools: ClassVar[Said] = (200, "It is noon.")
    stream: ClassVar[tuple[Any, ...]] = ({"choices": [{"delta": {"content": "5"}}]},)

    def do_POST(self) -> None:
        asked = json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        if asked.get("stream"):
            self.answer(*self.stream, mark=b"data: ")
            return
        status, said = self.tools if "tools" in asked else self.vision
        if status != 200:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.encode(error(said)))
            return
        # llama.cpp counts what it has predicted.
        self.answer({"choices": [{"message": {"content": said}}], "timings": {"predicted_n": 3}})


class TryoutTests(StubCase):
    def vendor(self, kind: type[Stub], **told: Any) -> str:
        return self.serve(type("Told", (kind,), told))

    def add(self, kind: str, host: str, *words: str) -> None:
        self.met("model-add", "x", kind, "gpt-y", "--host", host, *words)

    def test_what_is_wrong_is_told_apart_as_each_vendor_says_it(self) -> None:
        self.home.env_file.write_text(f"A_KEY={KEY}\n")
        for vendor, kind, listed, said, told, verdict in WRONG:
            host = self.vendor(Vendor, listed=listed, said=said) + ("/v1" if kind == "OPENAI" else "")
            self.add(kind, host, *(() if kind == "OLLAMA" else ("--env-key", "A_KEY")))
            words = self.refused("model-test", "x")
            self.assertIn(told, words, vendor)
            self.assertIn(verdict, words, vendor)
            self.assertIn("✓ reachable", words + "✓ reachable" * ("address" in words), vendor)
            self.assertNotIn(KEY, words, vendor)
            if "✗ name" in words and kind != "OLLAMA":
                self.assertIn("✓ key", words, vendor)
            self.met("model-remove", "x")

    def test_key_that_may_list_nothing_may_still_be_right(self) -> None:
        class Restricted(Talker):
            def do_GET(self) -> None:
                self.send_error(403, "insufficient permissions: api.model.read")

        self.home.env_file.write_text(f"A_KEY={KEY}\n")
        self.add("OPENAI", self.serve(Restricted) + "/v1", "--env-key", "A_KEY")
        said = self.met("model-test", "x")
        self.assertIn("✓ key", said)
        self.assertIn("✓ answers: '5'", said)

    def test_name_that_no_list_has_is_no_mistake_where_it_answers(self) -> None:
        self.add("OPENAI", self.serve(Talker) + "/v1")
        self.assertIn(
            "not in its list, and it answers all the same; there is qwen3:8b", self.met("model-test", "x")
        )

    def test_model_that_neither_sees_nor_calls_says_so_in_its_own_words(self) -> None:
        self.add("OPENAI", self.serve(Talker) + "/v1")
        said = self.met("model-test", "x")
        self.assertIn("✗ sees: of a red picture it says 'I cannot see", said)
        self.assertIn("✗ calls tools: it answered without the tool", said)
        self.met("model-remove", "x")
        refusing = self.vendor(
            Talker, tools=(400, "gpt-y does not support tools"), vision=(500, "image input is not supported")
        )
        self.add("OPENAI", refusing + "/v1")
        said = self.met("model-test", "x")
        self.assertIn("✗ calls tools: status 400: gpt-y does not support tools", said)
        self.assertIn("✗ sees: status 500: image input is not supported", said)
        self.met("model-remove", "x")
        hasty = self.vendor(Talker, tools=(429, "slow down"), vision=(503, "busy"))
        self.add("OPENAI", hasty + "/v1")
        said = self.met("model-test", "x")
        self.assertIn("– calls tools: status 429", said)  # noqa: RUF001
        self.assertIn("– sees: status 503", said)  # noqa: RUF001

    def test_answer_in_one_piece_is_no_stream(self) -> None:
        whole = ({"choices": [{"message": {"content": "The answer is five."}}]},)
        self.add("OPENAI", self.vendor(Talker, stream=whole) + "/v1")
        said = self.met("model-test", "x")
        self.assertIn("✓ answers: 'The answer is five.'", said)
        self.assertIn("✗ streams: 1 piece", said)

    def test_model_that_only_thinks_has_not_answered(self) -> None:
        thinking = ({"choices": [{"delta": {"reasoning_content": "hm"}}]},)
        self.add("OPENAI", self.vendor(Talker, stream=thinking) + "/v1")
        self.assertIn("it thought, and said nothing", self.refused("model-test", "x"))

    def test_model_for_embeddings_is_asked_for_a_vector(self) -> None:
        vector: Said = (200, {"data": [{"embedding": [0.5, 0.25, 1.0]}]})
        listed: Said = (200, {"data": [{"id": "gpt-y"}]})
        self.add("OPENAI", self.vendor(Vendor, listed=listed, said=vector) + "/v1", "--embedding")
        self.assertIn("✓ answers: vectors of 3 numbers", self.met("model-test", "x"))
        self.met("model-remove", "x")
        vector = (200, {"embeddings": [[0.5, 0.25]]})
        listed = (200, {"models": [{"name": "gpt-y:latest"}]})
        self.add("OLLAMA", self.vendor(Vendor, listed=listed, said=vector), "--embedding")
        self.assertIn("✓ answers: vectors of 2 numbers", self.met("model-test", "x"))


class EmbeddedTests(AgentctlCase):
    def test_weights_that_cannot_be_loaded_are_told(self) -> None:
        self.home.weights.mkdir(exist_ok=True)
        (self.home.weights / "smollm2.gguf").write_bytes(b"GGUF and no more")
        said = self.refused("model-test", "smollm2")
        self.assertIn("✓ weights", said)
        self.assertIn("✗ reachable: it cannot be loaded", said)


class AnswerTests(SynchronousTestCase):
    def test_frames_of_all_formats_are_read(self) -> None:
        for frame, text, thought, calls in (
            ({"choices": [{"delta": {"content": "a"}}]}, "a", "", ()),
            ({"choices": [{"delta": {"content": [{"type": "text", "text": "a"}]}}]}, "a", "", ()),
            ({"choices": [{"delta": None, "finish_reason": "stop"}]}, "", "", ()),
            ({"choices": [{"delta": {"reasoning": "r", "content": ""}}]}, "", "r", ()),
            ({"choices": []}, "", "", ()),
            ({"message": {"content": "a", "thinking": "t"}, "done": False}, "a", "t", ()),
            ({"message": {"tool_calls": [{"function": {"name": "f"}}]}}, "", "", ("f",)),
            ({"choices": [{"message": {"tool_calls": [{"function": {"name": "f"}}]}}]}, "", "", ("f",)),
            ({"type": "content_block_delta", "delta": {"text": "a"}}, "a", "", ()),
            ({"type": "content_block_delta", "delta": {"thinking": "t"}}, "", "t", ()),
            (
                {"content": [{"type": "text", "text": "a"}, {"type": "tool_use", "name": "f"}]},
                "a",
                "",
                ("f",),
            ),
            ({"content": "a"}, "", "", ()),
            ([1], "", "", ()),
            ({"choices": [{"delta": {"content": 3, "tool_calls": [None, {"function": 2}]}}]}, "", "", ()),
        ):
            piece = piece_of(json.encode(frame))
            self.assertEqual((piece.text, piece.thought, piece.calls), (text, thought, calls), frame)
        for line in (b"", b"[DONE]", b"event: ping", b"\xff", b"[" * 100_000):
            self.assertEqual(piece_of(line).text, "")

    def test_refusal_says_what_it_is_about(self) -> None:
        for status, body, key, name in (
            (401, b"", True, False),
            (403, b'{"error": "model gpt is not available to you"}', False, True),
            (403, b'{"error": {"message": "You have insufficient permissions"}}', False, False),
            (404, b"404 page not found", False, False),
            (500, b'{"error": "model not found on disk"}', False, False),
            (400, b'{"error": {"message": "max_tokens is too large"}}', False, False),
            (302, b"", False, False),
        ):
            refusal = Refusal(Answered(status, body))
            self.assertEqual((refusal.is_about_key, refusal.is_about_name), (key, name), body)
