"""Goes to a server over the network, with one connection for each call."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import create_default_context
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import DecodeError, json

from .decoders import Fault
from .replay import Answer

# Seconds of silence; apps on Apple's phones give up then.
PATIENCE = 60.0
# No answer to the doctor's questions comes near this many bytes.
_LARGEST = 16 * 1024 * 1024
_ANY_MODEL = "agent"


class BadURL(Exception):
    """This is no address of an HTTP server."""


class Server(NamedTuple):
    """Where the clients go; `folder` is what the user typed after the host, without a `/v1` at its end."""

    scheme: str
    host: str
    port: int
    folder: str
    cacert: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.folder}"

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Sends one request and reads the whole answer. Raises Fault if none comes."""
        connection = self._connection()
        try:
            connection.request(method, self.folder + path, body, headers)
            response = connection.getresponse()
            read = response.read(_LARGEST + 1)
        except TimeoutError:
            raise Fault("", f"nothing came for {PATIENCE:.0f} seconds") from None
        except (OSError, HTTPException) as error:
            raise Fault("", f"no whole answer: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if len(read) > _LARGEST:
            raise Fault("", f"more than {_LARGEST} bytes")
        return Answer(response.status, response.headers.get("Content-Type", ""), read)

    def reach(self) -> None:
        """Returns if somebody listens there, with a certificate that holds under https. Raises OSError."""
        connection = self._connection()
        connection.connect()
        connection.close()

    def models(self, headers: dict[str, str]) -> list[str]:
        """The names of the models that it lists in either dialect; any name where it lists none."""
        for path, rows, key in (("/api/tags", "models", "model"), ("/v1/models", "data", "id")):
            try:
                listed = json.decode(self.ask("GET", path, headers, None).body)[rows]
                if names := [row[key] for row in listed if isinstance(row[key], str)]:
                    return names
            except (Fault, DecodeError, UnicodeDecodeError, LookupError, TypeError):
                continue  # it is for the clients to complain
        return [_ANY_MODEL]

    def is_agent(self, model: str, key: str = "") -> bool:
        """Whether it takes commands, as this project's servers do; elsewhere they are a question to a model."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        asked = {"model": model, "messages": [{"role": "user", "content": "!help"}], "stream": False}
        try:
            answer = self.ask("POST", "/v1/chat/completions", headers, json.encode(asked))
        except Fault:
            return False
        return b"!whoami" in answer.body and b"!reset" in answer.body

    def _connection(self) -> HTTPConnection:
        if self.scheme != "https":
            return HTTPConnection(self.host, self.port, timeout=PATIENCE)
        context = create_default_context()
        if self.cacert:
            context.load_verify_locations(self.cacert)
        return HTTPSConnection(self.host, self.port, timeout=PATIENCE, context=context)


def server_at(url: str, cacert: str = "") -> Server:
    """The server at what a user enters in an app: the scheme may be missing, and `/v1` may stand at the end.

    `cacert` is a file with certificates that are believed besides those of the system.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise BadURL(f"{url} is no http or https address") from None
    if not parts.hostname:
        raise BadURL(f"{url} names no host")
    folder = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return Server(parts.scheme, parts.hostname, port, folder, cacert)
