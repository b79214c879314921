"""TLS, put off until somebody speaks it.

With its TCP sockets Twisted loads pyOpenSSL, cryptography and all that they need wherever they are installed: a fourth
of the memory of a server whose apps and models speak plain HTTP. So its sockets are loaded without, and with something
in the place of TLS that loads it when the first connection needs it.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

_TLS = "twisted.protocols.tls"
# Those of Twisted's modules that load TLS, and do without it where it is not installed.
_SOCKETS = ("twisted.internet.tcp", "twisted.internet.posixbase", "twisted.internet.endpoints")


def put_off() -> None:
    """Loads Twisted's sockets without TLS; to be called before anything else loads them, and without effect after."""
    if any(name in sys.modules for name in ("OpenSSL", *_SOCKETS)):
        return
    stand_in: Any = ModuleType(_TLS)
    stand_in.TLSMemoryBIOFactory = _factory
    there: dict[str, Any] = {"OpenSSL": None, _TLS: stand_in}
    sys.modules.update(there)
    try:
        sockets = [importlib.import_module(name) for name in _SOCKETS]
    finally:
        for name in there:
            del sys.modules[name]
    endpoints: Any = sockets[-1]
    endpoints.TLSMemoryBIOFactory = _factory


def load() -> None:
    """Has Twisted know TLS in full, as for an endpoint's description; without effect where it does already.

    To be called as well before code of other people is, which may do whatever Twisted can.
    """
    endpoints = importlib.import_module("twisted.internet.endpoints")
    if not hasattr(endpoints, "CertificateOptions"):
        # What was imported from it before stays as good as it was, and sees the names that it missed.
        importlib.reload(endpoints)


def _factory(*arguments: Any, **named: Any) -> Any:
    """Twisted's own factory of connections with TLS."""
    from twisted.protocols.tls import TLSMemoryBIOFactory

    return TLSMemoryBIOFactory(*arguments, **named)
