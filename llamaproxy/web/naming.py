"""Whose session a request belongs to, beyond its address: people and chats may share one.

A front end such as Open WebUI speaks for many users and chats from one address; several people may sit behind one
router. What the client says tells them apart, as far as it can be believed.
"""

import re
from collections.abc import Mapping, Sequence

from msgspec import DecodeError, Raw, json
from twisted.web.http_headers import Headers

from ..config import FrontDoor
from ..config.schema import SessionBy
from ..seams.names import safe_name

# Characters of what follows the address in a session's id.
MAX_SUFFIX = 64
# Depths of delegation that are told apart, more than any operator allows.
DEEPEST = 9

# In which Open WebUI says whose message it passes on, whatever the operator has the sessions named by.
_OPEN_WEBUI = ("X-OpenWebUI-User-Id", "X-OpenWebUI-User-Email", "X-OpenWebUI-User-Name")
# Apps on a server of their own, whose users are many. Open WebUI says no more of itself than its library does.
_SERVES_MANY = re.compile(
    rb"aiohttp/|open-?webui|librechat|lobe-?(?:chat|hub)|anythingllm|big-agi", re.IGNORECASE
)

_NO_FIELDS: Mapping[str, Raw] = {}

# What a head says: the values of each header, by its name as Twisted writes it.
Sent = Mapping[bytes, Sequence[bytes]]


class Naming:
    """Names sessions by the rungs in `session_by` of `door`, which also lists the headers."""

    def __init__(self, door: FrontDoor | None = None) -> None:
        door = door or FrontDoor()
        names = {
            "chat_header": door.chat_headers,
            "user_header": door.user_headers,
            "client_header": door.client_headers,
            "body_field": door.body_fields,
        }
        orders = {
            door.session_by,
            *(each.session_by for each in door.callers.values() if each.session_by is not None),
        }
        self._session_by = door.session_by
        # Each with its name as the operator wrote it, and as it stands in a head.
        self._rungs = {
            order: [
                (rung.replace("_", " "), name, b"" if rung == "body_field" else _in_a_head(name))
                for rung in order
                for name in names.get(rung, ())
            ]
            for order in orders
        }
        self._users = frozenset(map(_in_a_head, (*door.user_headers, *_OPEN_WEBUI)))
        self._chats = frozenset(map(_in_a_head, door.chat_headers))
        # The names of keys that have sessions of their own, which no header may lead into.
        keys = (*door.api_keys, *(name for name, each in door.callers.items() if each.is_keyed))
        self._keys = keys if any("api_key" in order for order in orders) else ()

    def session(
        self,
        address: str,
        headers: Sent,
        key: str | None,
        believed: bool,
        depth: int = 0,
        fields: Mapping[str, Raw] = _NO_FIELDS,
        session_by: tuple[SessionBy, ...] | None = None,
    ) -> tuple[str, str]:
        """The session's id, and the rung that decided it.

        `key` is the name of the API key that came along, `believed` says whether headers count, and the `fields` of the
        body in which the client says who it speaks for. The first of them
        that is there decides; a key's sessions are its own, whatever its headers say. What agents ask, at a `depth`
        above 0, is apart from what people say at the same address, and from the turn that may wait for the answer.
        `session_by` is that of the caller's profile, None for everybody's.
        """
        order = self._session_by if session_by is None else session_by
        name, rung = "", "address"
        if key in self._keys and "api_key" in order:
            name, rung = key, f"API key '{key}'"
        value = ""
        for kind, said, header in self._rungs[order] if believed else ():
            if kind == "body field":
                value = _in_body(fields, said)
            elif said_so := headers.get(header):
                value = _text(said_so[0].strip())
            if value:
                rung = f"{kind} {said}"
                break
        if depth:
            value = f"{value}.asked-{min(depth, DEEPEST)}".lstrip(".")
            rung += ", for an agent's question"
        suffix = self._joined(name, value) if value else name
        return (f"llama-{address}-{safe_name(suffix, MAX_SUFFIX)}" if suffix else f"llama-{address}"), rung

    def names_a_user(self, headers: Sent) -> bool:
        """Whether an app says that it passes on the request of one of its users."""
        return not self._users.isdisjoint(headers)

    def is_an_apps(self, headers: Sent) -> bool:
        """Whether a request is that of a chat of an app, or comes through an app that serves many."""
        if not self._chats.isdisjoint(headers):
            return True
        return _SERVES_MANY.search((headers.get(b"User-Agent") or (b"",))[0]) is not None

    def _joined(self, name: str, value: str) -> str:
        """A key's name, "" for none, and what a header says; odd where it would read like another key's."""
        suffix = f"{name}.{value}".lstrip(".")
        readings = [each for each in self._keys if f"{suffix}.".startswith(f"{each}.")]
        return suffix if max(readings, key=len, default="") == name else f"{name}/{value}"


def _in_a_head(header: str) -> bytes:
    """The name of a header as Twisted writes it."""
    [(name, _)] = Headers({header: [""]}).getAllRawHeaders()
    return name


def _in_body(fields: Mapping[str, Raw], path: str) -> str:
    """The text at a field, or at one in another; of an object its `id`, as OpenAI has it for conversations."""
    name, _, rest = path.partition(".")
    if name not in fields:
        return ""
    try:
        value = json.decode(fields[name])
    except (DecodeError, RecursionError):
        return ""
    for step in rest.split(".") if rest else ():
        value = value.get(step) if isinstance(value, dict) else None
    value = value.get("id") if isinstance(value, dict) else value
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _text(sent: bytes) -> str:
    """Different bytes are different names, also if they are not UTF-8."""
    return sent.decode("utf-8", "surrogateescape")
