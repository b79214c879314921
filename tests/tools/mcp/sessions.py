"""An MCP server at an address, of the older protocol with sessions, which the test can restart or have refuse."""

from typing import Any

from msgspec import json
from twisted.web.resource import Resource
from twisted.web.server import Request


class SessionServer(Resource):
    """Knows the sessions that were begun since its last `restart`; refuses with `refusal`, if that is set."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.refusal = 0
        # How a session that is not known is refused, and with what.
        self.unknown: tuple[int, bytes] = (404, b"")
        self.calls = 0
        self._begun = 0
        self._known: set[str] = set()

    def restart(self) -> None:
        self._known.clear()

    def render_GET(self, request: Request) -> bytes:
        request.setResponseCode(405)
        return b""

    render_DELETE = render_GET

    def render_POST(self, request: Request) -> bytes:
        content: Any = request.content
        asked = json.decode(content.read())
        session = (request.requestHeaders.getRawHeaders("mcp-session-id") or [""])[0]
        request.setHeader("content-type", "application/json")
        if self.refusal:
            request.setResponseCode(self.refusal)
            return b""
        if asked["method"] == "initialize":
            self._begun += 1
            session = f"session-{self._begun}"
            self._known.add(session)
            request.setHeader("mcp-session-id", session)
            info = {"name": "sessions", "version": "1"}
            return self._result(
                asked, protocolVersion="2025-06-18", capabilities={"tools": {}}, serverInfo=info
            )
        if not session:
            request.setResponseCode(400)
            return b""
        if session not in self._known:
            request.setResponseCode(self.unknown[0])
            return self.unknown[1]
        if "id" not in asked:
            request.setResponseCode(202)
            return b""
        if asked["method"] == "tools/list":
            return self._result(asked, tools=[{"name": "session", "inputSchema": {"type": "object"}}])
        self.calls += 1
        return self._result(asked, content=[{"type": "text", "text": session}])

    def _result(self, asked: dict[str, Any], **result: Any) -> bytes:
        return json.encode({"jsonrpc": "2.0", "id": asked["id"], "result": result})
