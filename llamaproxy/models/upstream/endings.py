"""How Twisted's HTTP client says that a body is over, or cannot be read.

They come from where they are made: `twisted.web.client`, which gives them to everybody, loads TLS.
"""

from twisted.web._newclient import ParseError, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss

__all__ = ["ParseError", "PotentialDataLoss", "ResponseDone", "ResponseFailed"]
