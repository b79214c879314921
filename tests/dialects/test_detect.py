"""Which dialect, and which path: tables."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects.detect import Dialect, detect, normalise


class DetectTests(SynchronousTestCase):
    def test_the_first_rule_that_matches_wins(self) -> None:
        for path, user_agent, expected in [
            (b"/v1/api/tags", b"", Dialect.HYBRID),
            (b"/v1/api/", b"", Dialect.HYBRID),
            (b"/v1/api", b"OpenAI/Python 3.54.0", Dialect.HYBRID),
            (b"//v1//api/chat", b"open-webui/0.6", Dialect.HYBRID),
            (b"/api/chat", b"", Dialect.OLLAMA),
            (b"/api/chat", b"open-webui/0.6", Dialect.OLLAMA),
            (b"//api/chat", b"", Dialect.OLLAMA),
            (b"/api", b"", Dialect.OLLAMA),
            (b"/", b"ollama/0.33.0 (amd64 linux) Go/go1.25", Dialect.OLLAMA),
            (b"/nope", b"My-OLLAMA-App", Dialect.OLLAMA),
            (b"/v1/nope", b"ollama-python/0.6.2 (x86_64 linux) Python/3.11.7", Dialect.OLLAMA),
            (b"/nope", b"open-webui with ollama", Dialect.OLLAMA),
            (b"/nope", b"Open-WebUI/0.6", Dialect.OPENAI),
            (b"/v1/chat/completions", b"OpenAI/Python 3.54.0", Dialect.OPENAI),
            (b"/v1/chat/completions", b"Python/3.11 aiohttp/3.14.5", Dialect.OPENAI),
            (b"/apiary", b"", Dialect.OPENAI),
            (b"/v1/apis", b"", Dialect.OPENAI),
            (b"/", b"", Dialect.OPENAI),
            (b"", b"\xff\xfe", Dialect.OPENAI),
        ]:
            self.assertIs(detect(path, user_agent), expected, (path, user_agent))


class NormaliseTests(SynchronousTestCase):
    def test_every_spelling_leads_to_one_path(self) -> None:
        for path, expected in [
            (b"/", "/"),
            (b"//", "/"),
            (b"", "/"),
            (b"/v1", "/v1"),
            (b"/v1/", "/v1"),
            (b"/api/tags", "/api/tags"),
            (b"/api/tags/", "/api/tags"),
            (b"//api///tags//", "/api/tags"),
            (b"/v1/api/tags", "/api/tags"),
            (b"/v1/api", "/api"),
            (b"/v1//api/chat/", "/api/chat"),
            (b"/v1/apis", "/v1/apis"),
            (b"/v1/models", "/v1/models"),
            (b"/models", "/v1/models"),
            (b"//models", "/v1/models"),
            (b"/models/gemini25", "/v1/models/gemini25"),
            (b"/models/a%2Fb", "/v1/models/a%2Fb"),
            (b"/v1/models/a%2Fb", "/v1/models/a%2Fb"),
            (b"/modelsque", "/modelsque"),
            (b"/chat/completions", "/v1/chat/completions"),
            (b"/chat/completions/", "/v1/chat/completions"),
            (b"/api/models", "/v1/models"),
            (b"/api/models/x", "/v1/models/x"),
            (b"/api/chat/completions", "/v1/chat/completions"),
            (b"/v1/api/chat/completions", "/v1/chat/completions"),
            (b"/embeddings", "/v1/embeddings"),
            (b"/api/embeddings", "/api/embeddings"),
            (b"/v1/api/embeddings", "/api/embeddings"),
            (b"/completions", "/v1/completions"),
            (b"/responses/resp_1", "/v1/responses/resp_1"),
            (b"/messages/count_tokens", "/v1/messages/count_tokens"),
            (b"/api/messages", "/v1/messages"),
            (b"/v1/v1/messages", "/v1/messages"),
            (b"/v1//v1/", "/v1"),
            (b"/v1/v1/api/tags", "/api/tags"),
            (b"/api/chat", "/api/chat"),
            (b"/V1/Models", "/V1/Models"),
            (b"/caf\xc3\xa9", "/caf\xc3\xa9"),
            (b"*", "*"),
        ]:
            self.assertEqual(normalise(path), expected, path)
