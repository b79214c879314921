"""The table of endpoints: which callers are let in, by their rights.

The tests ask each of them, and `docs/rights.md` shows it: `python -m tests.web.doors` prints the rows for that. Which
endpoints there are the server itself is asked.
"""

from typing import NamedTuple

YES, NO = "yes", "no"
COLUMNS = ("all", "safe", "none", "operator", "nobody")
KNOWN = (YES, YES, YES, YES, NO)
ANYBODY = (YES,) * 5
OPERATORS = (NO, NO, NO, YES, NO)
CLOSED = (NO,) * 5


class Door(NamedTuple):
    """A way of asking, as the server has it in its own tables; `path` is one that it fits."""

    rule: str
    methods: tuple[str, ...]
    may: tuple[str, ...]
    path: str

    @property
    def cells(self) -> str:
        """Its row in the document."""
        return f"| `{'`, `'.join(self.methods)}` | `{self.rule}` | {' | '.join(self.may)} |"


def _door(ways: str, rule: str, may: tuple[str, ...], path: str = "") -> Door:
    return Door(rule, tuple(ways.split()), may, path or rule)


DOORS = (
    _door("GET HEAD", "/", ANYBODY),
    _door("GET HEAD", "/healthz", KNOWN),
    _door("GET HEAD", "/readyz", KNOWN),
    _door("GET", "/metrics", KNOWN),
    *(
        _door("GET HEAD", path, KNOWN)
        for path in (
            "/api/version",
            "/api/status",
            "/api/experimental/model-recommendations",
            "/api/tags",
            "/api/ps",
            "/v1/models",
        )
    ),
    _door("GET HEAD", "/v1/models/<path:name>", KNOWN, "/v1/models/main"),
    *(
        _door("POST", path, KNOWN)
        for path in (
            "/api/show",
            "/api/pull",
            "/api/chat",
            "/api/generate",
            "/api/embed",
            "/api/embeddings",
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/responses",
            "/v1/embeddings",
            "/v1/messages",
            "/v1/messages/count_tokens",
        )
    ),
    _door("DELETE GET HEAD POST", "/v1/responses/<path:_>", KNOWN, "/v1/responses/r1"),
    *(_door("POST", path, KNOWN) for path in ("/api/me", "/api/signout")),
    _door("DELETE", "/api/user/keys/<path:key>", KNOWN, "/api/user/keys/k"),
    _door("HEAD", "/api/blobs/<digest>", KNOWN, "/api/blobs/sha256:0"),
    _door("POST", "/api/blobs/<digest>", CLOSED, "/api/blobs/sha256:0"),
    *(_door("POST", path, CLOSED) for path in ("/api/push", "/api/copy", "/api/create")),
    _door("DELETE", "/api/delete", CLOSED),
    _door("GET HEAD", "/console", KNOWN),
    # The same for everybody; a page has to be there for a key to be entered.
    *(
        _door("GET HEAD", path, ANYBODY)
        for path in (
            "/console/console.js",
            "/console/sections.js",
            "/console/charts.js",
            "/console/enter.js",
            "/console/console.css",
            "/console/icon.svg",
            "/chat",
            "/chat/base.css",
            "/chat/chat.css",
            "/chat/nodes.js",
            "/chat/marks.js",
            "/chat/markdown.js",
            "/chat/chats.js",
            "/chat/pictures.js",
            "/chat/hearing.js",
            "/chat/talk.js",
            "/chat/chat.js",
            "/chat/manifest.webmanifest",
            "/chat/icon.svg",
            "/chat/icon-192.png",
            "/chat/icon-512.png",
            "/pair",
            "/pair/pair.js",
        )
    ),
    # What they bring is a code that works once; a wrong one is a 401 for everybody.
    _door("POST", "/console/enter", CLOSED),
    _door("POST", "/pair", CLOSED),
    *(
        _door("GET HEAD", path, OPERATORS)
        for path in ("/console/live", "/console/trace", "/console/log", "/console/sessions", "/console/me")
    ),
    *(
        _door("POST", path, OPERATORS)
        for path in (
            "/console/decide",
            "/console/stop",
            "/console/switch",
            "/console/model",
            "/console/words",
            "/console/checkup",
            "/console/reload",
            "/console/pair",
            "/console/leave",
            "/console/link",
        )
    ),
)


def rows() -> str:
    """The table as the document has it."""
    lines = [f"| method | path | {' | '.join(COLUMNS)} |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(door.cells for door in DOORS)])


if __name__ == "__main__":
    print(rows())
