"""The real handshake of each client, call by call, as its source has it or as it was seen on the wire."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from . import ollama, openai
from .replay import Call, Client, Reader, reachable

# An agent answers this at once, without a model, and keeps nothing of it.
QUESTION = "!help"
# A model that no server has.
NOBODY = "the-doctor-asks-for-nobody"

# The prompts for a chat's title; they begin and end as the apps' own do.
_TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n"
    '### Output:\nJSON format: { "title": "your concise title here" }\n'
    f"### Chat History:\n<chat_history>\nUSER: {QUESTION}\nASSISTANT: \n</chat_history>"
)
_NAME = f"Based on this chat, name the conversation.\n\n```\n{QUESTION}\n```\n\nThe name is:"
_REINS = "You are a title generator for a chat application."

_WEBUI = {"User-Agent": "Python/3.11 aiohttp/3.14.5", "Content-Type": "application/json"}
_LIBRARY = {
    "User-Agent": "ollama-python/0.6.2 (x86_64 linux) Python/3.11.7",
    "Content-Type": "application/json",
    "Accept": "application/json",
}


def _stainless(agent: str, language: str) -> dict[str, str]:
    """What the OpenAI libraries, and what is built on them, send along."""
    return {
        "User-Agent": agent,
        "Authorization": "Bearer any",
        "X-Stainless-Lang": language,
        "X-Stainless-Retry-Count": "0",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


class _Bodies(NamedTuple):
    """What the clients ask, in both dialects."""

    models: Sequence[str]
    chat: dict[str, Any]

    @property
    def model(self) -> str:
        return self.models[0]

    @property
    def streamed(self) -> dict[str, Any]:
        return {**self.chat, "stream": True}

    @property
    def whole(self) -> dict[str, Any]:
        return {**self.chat, "stream": False}

    @property
    def counted(self) -> dict[str, Any]:
        return {**self.streamed, "stream_options": {"include_usage": True}}

    def say(self, text: str, **more: Any) -> dict[str, Any]:
        """A chat of one other message."""
        return {**self.chat, "messages": [{"role": "user", "content": text}], **more}


def clients(models: Sequence[str]) -> list[Client]:
    """All clients, in the order of the report, for a server that lists these models; they talk to the first."""
    chat = {"model": models[0], "messages": [{"role": "user", "content": QUESTION}]}
    asked = _Bodies(models, chat)
    return [*_apps(asked), _own_page(asked), *_ollama_clients(asked), *_openai_clients(asked)]


def _apps(asked: _Bodies) -> list[Client]:
    """The apps that people have on their screens."""
    webui = Reader(openai, "open-webui", "/v1", by_type=True)
    as_ollama = Reader(ollama, "open-webui", "/api", by_type=True)
    enchanted, cli = Reader(ollama, "enchanted", "/api"), Reader(ollama, "ollama-cli", "/api")
    plugin, swift = Reader(openai, "lm-studio", "/v1"), Reader(openai, "macpaw", "/v1")
    title = asked.say(_TITLE, stream=False)
    return [
        Client(
            "open-webui-openai",
            "Open WebUI, OpenAI connection",
            {**_WEBUI, "Authorization": "Bearer any"},
            (webui.get("models"), _chat(webui, {**title, "max_tokens": 1000}), _talk(webui, asked.streamed)),
        ),
        Client(
            "open-webui-ollama",
            "Open WebUI, Ollama connection",
            _WEBUI,
            (
                as_ollama.get("version"),
                as_ollama.get("tags"),
                as_ollama.get("ps"),
                as_ollama.post("chat", {**title, "options": {"num_predict": 1000}}),
                as_ollama.stream("chat", asked.streamed),
            ),
        ),
        Client(
            "enchanted",
            "Enchanted",
            {
                "User-Agent": "Enchanted/1.8.1 (subj.Enchanted; build:51; iOS 17.5.1) Alamofire/5.9.1",
                "Authorization": "Bearer ",
                "Content-Type": "application/json",
            },
            (
                reachable(),
                enchanted.get("tags"),
                enchanted.stream("chat", {**asked.streamed, "options": {"temperature": 0}}),
            ),
        ),
        Client(
            "ollama-cli",
            "Ollama CLI and desktop",
            {
                "User-Agent": "ollama/0.33.0 (amd64 linux) Go/go1.24.1",
                "Accept": "application/x-ndjson",
                "Content-Type": "application/json",
            },
            _cli_calls(cli, asked),
            sends_key=False,
        ),
        Client(
            "lm-studio",
            "LM Studio, OpenAI-compatible plugin",
            _stainless("OpenAI/JS 6.49.0", "js"),
            (plugin.get("models"), _talk(plugin, asked.streamed)),
        ),
        Client(
            "openai-apps",
            "OpenAI apps on iOS and Android",
            {
                "User-Agent": "Chat/1 CFNetwork/1568.100.1 Darwin/24.0.0",
                "Authorization": "Bearer any",
                "Content-Type": "application/json",
            },
            (swift.get("models"), _talk(swift, asked.streamed), _chat(swift, asked.whole)),
        ),
        _reins(asked),
        _chatbox(asked),
        _vs_code(asked),
    ]


def _cli_calls(cli: Reader, asked: _Bodies) -> tuple[Call, ...]:
    """`list`, `ps`, `show`, a failing `show`, `run` as a conversation and with a prompt, `stop`."""
    named = {"system": "", "template": "", "verbose": False, "options": None}
    prompt = {"model": asked.model, "prompt": QUESTION, "format": "", "options": {}}
    return (
        reachable(),
        cli.get("version"),
        cli.get("tags"),
        cli.get("ps"),
        cli.post("show", {"model": "", **named, "name": asked.model}),
        cli.refused("show", {"model": "", **named, "name": NOBODY}, 404),
        cli.post("generate", {"model": asked.model, "prompt": "", "options": None}),
        cli.stream("chat", {**asked.chat, "options": {}}),
        cli.stream("generate", prompt),
        cli.post("generate", {"model": asked.model, "prompt": "", "keep_alive": "0s"}),
    )


def _reins(asked: _Bodies) -> Client:
    reins = Reader(ollama, "reins", "/api")
    title = {"model": asked.model, "system": _REINS, "prompt": f"{_REINS} Name this message: {QUESTION}"}
    return Client(
        "reins",
        "Reins",
        {"User-Agent": "Dart/3.5 (dart:io)", "Content-Type": "application/json"},
        (
            reins.get("tags"),
            *_cards(reins, asked),
            reins.stream("chat", asked.streamed),
            reins.stream("generate", {**title, "stream": True}),
        ),
        sends_key=False,
    )


def _chatbox(asked: _Bodies) -> Client:
    chatbox = Reader(openai, "chatbox", "/v1", by_type=True)
    return Client(
        "chatbox",
        "Chatbox",
        {
            "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
            "Authorization": "Bearer ollama",
            "Content-Type": "application/json",
        },
        (
            chatbox.get("models"),
            _talk(chatbox, asked.streamed),
            _talk(chatbox, asked.say(_NAME, stream=True)),
        ),
    )


def _vs_code(asked: _Bodies) -> Client:
    cards, chat = Reader(ollama, "vs-code", "/api", by_type=True), Reader(openai, "vs-code", "/v1")
    return Client(
        "vs-code",
        "VS Code's Ollama model picker",
        {"User-Agent": "GitHubCopilotChat/0.40.0", "Content-Type": "application/json"},
        (
            cards.get("version"),
            cards.get("tags"),
            *_cards(cards, asked),
            _talk(chat, asked.counted),
        ),
    )


def _own_page(asked: _Bodies) -> Client:
    """The chat page that the server itself has."""
    page = Reader(openai, "chat-page", "/v1")
    return Client(
        "chat-page",
        "The server's own chat page",
        {
            "User-Agent": "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
            "Content-Type": "application/json",
            "Sec-Fetch-Site": "same-origin",
        },
        (page.get("models"), _talk(page, asked.streamed)),
    )


def _ollama_clients(asked: _Bodies) -> list[Client]:
    """What speaks Ollama's dialect from a script or a terminal."""
    python, node = Reader(ollama, "ollama-python", "/api"), Reader(ollama, "ollama-js", "/api")
    home, langchain = Reader(ollama, "home-assistant", "/api"), Reader(ollama, "langchain-ollama", "/api")
    llm, ai = Reader(ollama, "llm-ollama", "/api"), Reader(ollama, "ai-sdk", "/api", by_type=True)
    terminal, talk = Reader(ollama, "oterm", "/api"), Reader(openai, "oterm", "/v1")
    prompt = {"model": asked.model, "prompt": QUESTION, "stream": False}
    js = {**_LIBRARY, "User-Agent": "ollama-js/0.6.4 (x64 linux Node.js/v20.20.2)"}
    return [
        Client(
            "ollama-python",
            "ollama for Python",
            _LIBRARY,
            (
                python.get("tags"),
                python.get("ps"),
                python.post("show", {"model": asked.model}),
                python.post("chat", {**asked.whole, "tools": []}),
                python.stream("chat", {**asked.streamed, "tools": []}),
                python.post("generate", prompt),
                python.refused("show", {"model": NOBODY}, 404),
            ),
        ),
        Client(
            "ollama-js",
            "ollama for JavaScript",
            js,
            (
                node.get("tags"),
                node.post("chat", asked.whole),
                node.stream("chat", asked.streamed),
                node.post("generate", prompt),
                node.refused("show", {"model": NOBODY}, 404),
            ),
        ),
        Client(
            "home-assistant",
            "Home Assistant's Ollama integration",
            _LIBRARY,
            (home.get("tags"), home.stream("chat", {**asked.streamed, "keep_alive": "-1s"})),
        ),
        Client(
            "langchain-ollama",
            "langchain-ollama",
            _LIBRARY,
            (langchain.get("tags"), langchain.stream("chat", {**asked.streamed, "tools": [], "options": {}})),
        ),
        Client(
            "llm-ollama",
            "llm with llm-ollama",
            _LIBRARY,
            (llm.get("tags"), *_cards(llm, asked), llm.stream("chat", asked.streamed)),
        ),
        Client(
            "oterm",
            "oterm",
            {**_stainless("pydantic-ai/2.59.0", "python"), "Authorization": "Bearer ollama"},
            (
                terminal.get("tags"),
                terminal.post("show", {"model": asked.model}),
                _talk(talk, asked.counted),
                terminal.get("ps"),
            ),
        ),
        Client(
            "ai-sdk-ollama",
            "AI SDK, ollama-ai-provider-v2",
            _ai_headers("ai-sdk/provider-utils/4.0.0"),
            (
                ai.post("chat", {**asked.whole, "think": False}),
                ai.stream("chat", {**asked.streamed, "think": False}),
            ),
        ),
    ]


def _openai_clients(asked: _Bodies) -> list[Client]:
    """What speaks OpenAI's dialect from a script."""
    python, node = Reader(openai, "openai-python", "/v1"), Reader(openai, "openai-node", "/v1")
    langchain, ai = Reader(openai, "langchain-openai", "/v1"), Reader(openai, "ai-sdk", "/v1", by_type=True)
    of_python = _stainless("OpenAI/Python 3.54.0", "python")
    return [
        Client(
            "openai-python",
            "openai for Python",
            of_python,
            (python.get("models"), _chat(python, asked.chat), _talk(python, asked.streamed)),
        ),
        Client(
            "openai-node",
            "openai for JavaScript",
            _stainless("OpenAI/JS 6.49.0", "js"),
            (node.get("models"), _chat(node, asked.chat), _talk(node, asked.streamed)),
        ),
        Client(
            "langchain-openai",
            "langchain-openai",
            of_python,
            (_chat(langchain, asked.chat), _talk(langchain, asked.streamed)),
        ),
        Client(
            "ai-sdk-openai",
            "AI SDK, @ai-sdk/openai-compatible",
            _ai_headers("ai-sdk/openai-compatible/2.0.91 ai-sdk/provider-utils/4.0.0"),
            (_chat(ai, asked.chat), _talk(ai, asked.streamed)),
        ),
    ]


def _ai_headers(agent: str) -> dict[str, str]:
    return {
        "User-Agent": f"ai/6.0.326 {agent} runtime/node.js/v20.20.2",
        "Authorization": "Bearer any",
        "Content-Type": "application/json",
    }


def _cards(reader: Reader, asked: _Bodies) -> list[Call]:
    """The card of every model listed."""
    return [reader.post("show", {"model": name}) for name in asked.models]


def _chat(reader: Reader, body: dict[str, Any]) -> Call:
    return reader.post("chat", body, "chat/completions")


def _talk(reader: Reader, body: dict[str, Any]) -> Call:
    return reader.stream("chat", body, "chat/completions")
