"""The address that a phone can use: what its camera reads off the screen."""

from ..web.addresses import address_of
from ..web.door import bracketed, reachable_addresses
from ..web.site import Intake


def base_address(request: Intake) -> str:
    """The URL of the server: by the name that was asked for, or where that is this machine's own, an address."""
    scheme = "https" if request.isSecure() else "http"
    port = request.getHost().port
    if address_of(request.getHost()).is_loopback:
        host = bracketed(reachable_addresses("0.0.0.0")[0])
        return f"{scheme}://{host}:{port}"
    name = (request.getHeader(b"host") or b"").decode("latin-1")
    return f"{scheme}://{name}"
