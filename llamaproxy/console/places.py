"""The address that a phone can use: what its camera reads off the screen."""

from ..web.addresses import address_of
from ..web.door import bracketed, reachable_addresses
from ..web.hosts import is_here
from ..web.site import Intake


def base_address(request: Intake) -> str:
    """The URL of the server: by the name that was asked for, or where that is this machine's own, an address.

    A proxy on this machine asks by the name that its clients use, and says whether they came with TLS.
    """
    asked = request.getHeader(b"host") or b""
    if address_of(request.getHost()).is_loopback and is_here(asked):
        scheme = "https" if request.isSecure() else "http"
        host = reachable_addresses(request.channel.site.bound)[0]
        return f"{scheme}://{bracketed(host)}:{request.getHost().port}"
    is_secure = request.isSecure() or request.getHeader(b"x-forwarded-proto") == b"https"
    return f"{'https' if is_secure else 'http'}://{asked.decode('latin-1')}"
