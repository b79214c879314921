"""Whose session a request belongs to, beyond its address: people and chats may share one.

A front end such as Open WebUI speaks for many users and chats from one address; several people may sit behind one
router. What the client says tells them apart, as far as it can be believed.
"""

from twisted.web.http_headers import Headers

from ..config import FrontDoor
from ..seams.names import safe_name

# Characters of what follows the address in a session's id.
MAX_SUFFIX = 64
# Depths of delegation that are told apart, more than any operator allows.
DEEPEST = 9


class Naming:
    """Names sessions by the rungs in `session_by` of `door`, which also lists the headers."""

    def __init__(self, door: FrontDoor | None = None) -> None:
        door = door or FrontDoor()
        headers = {"chat_header": door.chat_headers, "user_header": door.user_headers}
        self._rungs = [
            (rung.replace("_", " "), header) for rung in door.session_by for header in headers.get(rung, ())
        ]
        self._keys = tuple(door.api_keys) if "api_key" in door.session_by else ()

    def session(
        self, address: str, headers: Headers, key: str | None, believed: bool, depth: int = 0
    ) -> tuple[str, str]:
        """The session's id, and the rung that decided it.

        `key` is the name of the API key that came along, `believed` says whether headers count. The first of them
        that is there decides; a key's sessions are its own, whatever its headers say. What agents ask, at a `depth`
        above 0, is apart from what people say at the same address, and from the turn that may wait for the answer.
        """
        name, rung = (key, f"API key '{key}'") if key in self._keys else ("", "address")
        value = ""
        for kind, header in self._rungs if believed else ():
            sent, *_ = headers.getRawHeaders(header.encode("ascii")) or [b""]
            value = _text(sent.strip())
            if value:
                rung = f"{kind} {header}"
                break
        if depth:
            value = f"{value}.asked-{min(depth, DEEPEST)}".lstrip(".")
            rung += ", for an agent's question"
        suffix = self._joined(name, value) if value else name
        return (f"llama-{address}-{safe_name(suffix, MAX_SUFFIX)}" if suffix else f"llama-{address}"), rung

    def _joined(self, name: str, value: str) -> str:
        """A key's name, "" for none, and what a header says; odd where it would read like another key's."""
        suffix = f"{name}.{value}".lstrip(".")
        readings = [each for each in self._keys if f"{suffix}.".startswith(f"{each}.")]
        return suffix if max(readings, key=len, default="") == name else f"{name}/{value}"


def _text(sent: bytes) -> str:
    """Different bytes are different names, also if they are not UTF-8."""
    return sent.decode("utf-8", "surrogateescape")
