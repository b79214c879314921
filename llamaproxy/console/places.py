"""The address that a phone can use: what its camera reads off the screen."""

from ..web.addresses import address_of
from ..web.door import reachable_addresses
from ..web.site import Intake


def chat_address(request: Intake) -> str:
    """The URL of the chat page: by the name that was asked for, or where that is this machine's own, an address."""
    scheme = "https" if request.isSecure() else "http"
    port = request.getHost().port
    if address_of(request.getHost()).is_loopback:
        host = reachable_addresses("0.0.0.0")[0]
        return f"{scheme}://{host}:{port}/chat"
    name = (request.getHeader(b"host") or b"").decode("latin-1")
    return f"{scheme}://{name}/chat"
