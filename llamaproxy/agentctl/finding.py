"""Looks for models that are there already: servers on this machine, and keys in the environment."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import DecodeError, json

# Seconds for a server on this machine, and for one elsewhere.
NEAR, FAR = 1.5, 10.0
_LARGEST = 4 * 1024 * 1024
_OUR_METRICS = b"llamaproxy_"


class Place(NamedTuple):
    """Where models may be: the server's name, the type of its entries, their host, and the variable with its key."""

    name: str
    type: str
    host: str
    env_key: str = ""


ON_THIS_MACHINE = (
    Place("Ollama", "OLLAMA", "http://127.0.0.1:11434"),
    Place("LM Studio", "OPENAI", "http://127.0.0.1:1234/v1"),
    Place("llama.cpp", "OPENAI", "http://127.0.0.1:8080/v1"),
    Place("vLLM", "OPENAI", "http://127.0.0.1:8000/v1"),
)
BY_KEY = (
    Place("OpenAI", "OPENAI", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    Place("Anthropic", "ANTHROPIC", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    Place("Google", "OPENAI", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"),
    Place("xAI", "OPENAI", "https://api.x.ai/v1", "XAI_API_KEY"),
    Place("Mistral", "OPENAI", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    Place("Groq", "OPENAI", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    Place("OpenRouter", "OPENAI", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    Place("DeepSeek", "OPENAI", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
)
# A model whose name says that it makes vectors, sounds or pictures.
_NOT_TO_TALK_TO = re.compile(
    r"embed|bge-|rerank|whisper|tts|dall-e|moderation|transcribe|image|audio|realtime|sora"
    r"|davinci|babbage|turbo-instruct|imagen|veo-|aqa|guard|ocr"
)


class Unreachable(Exception):
    """No answer came; the message says why."""


class Answered(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes

    @property
    def content(self) -> Any:
        """What its JSON says; None if it is none."""
        try:
            return json.decode(self.body)
        except (DecodeError, UnicodeDecodeError):
            return None


class Found(NamedTuple):
    """A model that could be added."""

    place: Place
    model_id: str


def found(variables: Mapping[str, str], tell: Callable[[str], None]) -> Iterator[Found]:
    """All models to talk to that servers here list, and those of services whose keys there are.

    `tell` hears of what is there and has none.
    """
    for place in (*ON_THIS_MACHINE, *_named(variables.get("OLLAMA_HOST", ""))):
        if not is_ours(place):
            yield from _listed(place, "", NEAR, tell)
    for place in BY_KEY:
        if key := variables.get(place.env_key):
            yield from _listed(place, key, FAR, tell)


def _named(host: str) -> Iterator[Place]:
    """The Ollama that OLLAMA_HOST names, as its own programs read it: any part of a URL may be left out."""
    parts = urlsplit(host if "://" in host else f"http://{host}")
    try:
        name, port = parts.hostname or "127.0.0.1", parts.port or 11434
    except ValueError:
        return
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)
    place = Place("Ollama", "OLLAMA", f"{parts.scheme}://{f'[{name}]' if ':' in name else name}:{port}")
    if host.strip() and place not in ON_THIS_MACHINE:
        yield place


def is_ours(place: Place) -> bool:
    """Whether a server of this project is there, which would only ask itself."""
    parts = urlsplit(place.host)
    try:
        # vLLM and llama.cpp have metrics of their own there.
        return _OUR_METRICS in ask("GET", f"{parts.scheme}://{parts.netloc}/metrics", {}, None, NEAR).body
    except Unreachable:
        return False


def list_at(place: Place, key: str, patience: float) -> tuple[Answered, list[str]]:
    """What it answers to who wants its list, and the names in that. Raises `Unreachable`."""
    path = {"OLLAMA": "/api/tags", "ANTHROPIC": "/v1/models?limit=1000"}.get(place.type, "/models")
    answer = ask("GET", place.host.rstrip("/") + path, headers_for(place.type, key), None, patience)
    content = answer.content
    rows = content.get("models" if place.type == "OLLAMA" else "data") if isinstance(content, dict) else None
    name = "name" if place.type == "OLLAMA" else "id"
    rows = rows if isinstance(rows, list) else []
    listed = [str(row[name]) for row in rows if isinstance(row, dict) and row.get(name)]
    return answer, [one.removeprefix("models/") for one in listed]


def headers_for(kind: str, key: str) -> dict[str, str]:
    """What goes with a request to a server of this type."""
    sent = {"Content-Type": "application/json"}
    if kind == "ANTHROPIC":
        sent["anthropic-version"] = "2023-06-01"
    if key:
        sent.update({"x-api-key": key} if kind == "ANTHROPIC" else {"Authorization": f"Bearer {key}"})
    return sent


def ask(method: str, url: str, headers: Mapping[str, str], body: Any, patience: float) -> Answered:
    """One request and its whole answer. Raises `Unreachable`."""
    connection, target = connect(url, patience)
    try:
        connection.request(method, target, None if body is None else json.encode(body), dict(headers))
        response = connection.getresponse()
        return Answered(response.status, response.read(_LARGEST))
    except (OSError, HTTPException) as error:
        raise Unreachable(why(error)) from None
    finally:
        connection.close()


def connect(url: str, patience: float) -> tuple[HTTPConnection, str]:
    """A connection to the URL's server, and what to ask it for."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return kind(parts.hostname or "", parts.port, timeout=patience), target or "/"


def why(error: Exception) -> str:
    """Why there is no answer, in plain words."""
    match error:
        case socket.gaierror():
            return "the name of its server is not known"
        case ConnectionRefusedError():
            return "nothing listens at its address"
        case TimeoutError():
            return "it does not answer in time"
        case OSError():
            return error.strerror or type(error).__name__
    return "its answer is no HTTP"


def _listed(place: Place, key: str, patience: float, tell: Callable[[str], None]) -> Iterator[Found]:
    try:
        answer, names = list_at(place, key, patience)
    except Unreachable as error:
        # On this machine most of them are not there.
        if key:
            tell(f"{place.name}, whose key is in {place.env_key}: {error}")
        return
    good = [name for name in names if not _NOT_TO_TALK_TO.search(name.lower())]
    if not good and (trouble := _trouble(place, key, answer)):
        tell(trouble)
    yield from (Found(place, name) for name in good)


def _trouble(place: Place, key: str, answer: Answered) -> str:
    """Why a server that is there has no model to talk to; "" for one that is somebody else's."""
    if key and answer.status != 200:
        return f"{place.name} does not take the key in {place.env_key} (status {answer.status})"
    if answer.status in (401, 403):
        where = f"{place.type} MODEL --host {place.host}"
        return f"{place.name} wants a key: agentctl model-add NAME {where} --env-key VARIABLE"
    content, lists = answer.content, "models" if place.type == "OLLAMA" else "data"
    if answer.status == 200 and isinstance(content, dict) and lists in content:
        return f"{place.name} is there, and has no model to talk to yet" + (
            "; ollama pull llama3.2 gets one" if place.type == "OLLAMA" else ""
        )
    return ""
