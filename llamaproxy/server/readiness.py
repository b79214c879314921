"""Whether the parts are there without which no message can be answered: the store, and the default model's server."""

from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol

from ..config import ModelEntry
from ..seams.errors import AgentError
from ..seams.interfaces import ISessionStore, ISharedStore
from ..web.health import Check

# Seconds for a model's server to take a connection, and for which it is believed that it would take another one.
TIME_TO_CONNECT = 3.0
BELIEVED = 5.0


def store_check(store: ISessionStore) -> Check:
    """A shared store knows by itself; another one is asked for a session that nobody has."""

    async def shared() -> str:
        return "" if ISharedStore(store).reachable else "The conversations' database cannot be reached."

    async def own() -> str:
        try:
            await store.load("", 0)
        except AgentError as error:
            return str(error)
        return ""

    return shared if ISharedStore.providedBy(store) else own


def model_check(key: str, entry: ModelEntry, reactor: Any) -> Check:
    """Knocks at the server of a model that has one; the others are started with this server."""
    place = urlsplit(entry.host)
    port = place.port or {"https": 443, "http": 80}.get(place.scheme, 0)
    believed_until = 0.0

    async def knock() -> str:
        nonlocal believed_until
        if not (place.hostname and port) or reactor.seconds() < believed_until:
            return ""
        endpoint = HostnameEndpoint(reactor, place.hostname, port, TIME_TO_CONNECT)
        try:
            connection = await _connected(endpoint)
        except Exception as error:
            return f"The server of the model '{key}' cannot be reached ({error})."
        connection.transport.abortConnection()
        believed_until = reactor.seconds() + BELIEVED
        return ""

    return knock


def _connected(endpoint: HostnameEndpoint) -> Deferred[Any]:
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    connected: Deferred[Any] = endpoint.connect(factory)
    return connected
