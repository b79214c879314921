"""A program that loads Twisted's sockets without TLS, and then speaks it in every way that Twisted has.

Run with the files of a key and its certificate; prints what it has found.
"""

import sys
from typing import Any

from llamaproxy.sockets import tls

tls.put_off()

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    connectProtocol,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import react
from twisted.python.failure import Failure

HOST = "127.0.0.1"
reactor: Any = installed_reactor


class Greeter(Protocol):
    """Says hello and hangs up."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")
        self.transport.loseConnection()


class Listener(Protocol):
    """Fires with all that was said."""

    def __init__(self) -> None:
        self.said: Deferred[bytes] = Deferred()
        self._heard = b""

    def dataReceived(self, data: bytes) -> None:
        self._heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.said.callback(self._heard)


async def heard(endpoint: Any, begin: bool = False) -> str:
    """What the server of an endpoint says, after TLS was begun on its connection where it has none."""
    listener: Any = await connectProtocol(endpoint, Listener())
    if begin:
        listener.transport.startTLS(options())
    said: bytes = await listener.said
    return said.decode()


def options() -> Any:
    """A client's, which trusts everybody."""
    from twisted.internet.ssl import CertificateOptions

    return CertificateOptions()


async def main(_: Any, key: str, certificate: str) -> None:
    """Prints what is loaded of TLS, before and after, and what is heard over it."""
    print("OpenSSL" in sys.modules, "cryptography" in sys.modules)
    from twisted.internet.ssl import optionsForClientTLS

    factory = Factory.forProtocol(Greeter)
    described = f"ssl:0:interface={HOST}:privateKey={key}:certKey={certificate}"
    port = await serverFromString(reactor, described).listen(factory)
    plain = TCP4ClientEndpoint(reactor, HOST, port.getHost().port)
    print("wrapped", await heard(wrapClientTLS(options(), plain)))
    print("begun", await heard(plain, begin=True))
    try:
        clientFromString(reactor, f"tls:{HOST}:1")
    except NameError:
        print("descriptions are not known")
    tls.load()
    clientFromString(reactor, f"tls:{HOST}:1")
    print("descriptions are known")
    # What was imported before goes on.
    plain_port = await TCP4ServerEndpoint(reactor, 0, interface=HOST).listen(factory)
    plain = TCP4ClientEndpoint(reactor, HOST, plain_port.getHost().port)
    print("plain", await heard(plain))
    assert callable(optionsForClientTLS)


if __name__ == "__main__":
    react(lambda *arguments: Deferred.fromCoroutine(main(*arguments)), sys.argv[1:])
