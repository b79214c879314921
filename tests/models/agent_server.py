"""A small remote agent on a real socket: submit, stream, gates, stop; what it says is a script of the test's."""

from collections.abc import Callable
from typing import Any, cast

from klein import Klein
from msgspec import json
from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort
from twisted.web.iweb import IRequest
from twisted.web.server import Request, Site


class RemoteAgentServer:
    """One client's turn at a time. `script(agent, text)` is called for each submission, and speaks by `emit`."""

    app = Klein()

    def __init__(self, script: Callable[["RemoteAgentServer", str], None], key: str = "") -> None:
        self.script = script
        self.key = key
        self.submitted: list[dict[str, Any]] = []
        self.depths: list[str | None] = []
        self.calls: list[str] = []
        self.gates: dict[str, bool] = {}
        self.broken = False
        self.on_gate: Callable[[str, bool], None] = lambda gate_id, approve: None
        self.stopped: Deferred[str] = Deferred()
        self._queue: list[bytes] = []
        self._reader: Request | None = None

    async def listen(self) -> IListeningPort:
        site = Site(self.app.resource())
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(site)
        self.url = f"http://127.0.0.1:{cast(IPv4Address, port.getHost()).port}"
        return port

    def emit(self, event: str, **data: Any) -> None:
        """Queues an event; a reader gets it, or will."""
        self.raw(f"event: {event}\r\ndata: {json.encode(data).decode()}\r\n\r\n".encode())

    def say(self, *words: str) -> None:
        for word in words:
            self.emit("tok", text=word)

    def raw(self, data: bytes) -> None:
        self._queue.append(data)
        self._flush()

    def hang_up(self) -> None:
        assert self._reader is not None
        assert self._reader.channel is not None
        self._reader.channel.forceAbortClient()

    @property
    def streaming(self) -> bool:
        return self._reader is not None

    @app.route("/api/v1/submit", methods=["POST"])
    def submit(self, request: IRequest) -> bytes:
        self.calls.append("submit")
        if self.key and request.getHeader("authorization") != f"Bearer {self.key}":
            request.setResponseCode(401)
            return self._json(request, error="unauthorized")
        body = json.decode(request.content.read())
        self.submitted.append(body)
        self.depths.append(cast(str | None, request.getHeader("x-llamaproxy-depth")))
        self._queue.clear()
        self.script(self, body["text"])
        return self._json(request, client_id=body["client_id"], status="accepted")

    @app.route("/api/v1/stream/<client_id>", methods=["GET"])
    def stream(self, request: Request, client_id: str) -> Deferred[None]:
        assert client_id == self.submitted[-1]["client_id"]
        self.calls.append("stream")
        request.setHeader("content-type", "text/event-stream; charset=utf-8")
        request.write(b": ping - 2025-01-01 00:00:00\r\n\r\n")
        self._reader = request
        gone = request.notifyFinish()
        gone.addBoth(self._left)
        self._flush()
        return Deferred()

    @app.route("/api/v1/gate/<gate_id>", methods=["POST"])
    def gate(self, request: IRequest, gate_id: str) -> bytes:
        approve = json.decode(request.content.read()).get("approve", False)
        self.gates[gate_id] = approve
        self.on_gate(gate_id, approve)
        return self._json(request, status="ok")

    @app.route("/api/v1/stop", methods=["POST"])
    def stop(self, request: IRequest) -> bytes:
        self.calls.append("stop")
        if not self.stopped.called:
            self.stopped.callback(json.decode(request.content.read())["client_id"])
        return self._json(request, status="OK", cancelled=True)

    @app.route("/api/v1/session/<client_id>", methods=["DELETE"])
    def delete(self, request: IRequest, client_id: str) -> bytes:
        self.calls.append(f"delete {client_id}")
        return self._json(request, status="deleted", client_id=client_id)

    def _flush(self) -> None:
        while self._reader is not None and self._queue:
            self._reader.write(self._queue.pop(0))

    def _left(self, _: Any) -> None:
        self._reader = None

    def _json(self, request: IRequest, **body: Any) -> bytes:
        request.setHeader("content-type", "application/json")
        if self.broken:
            return b"[]"
        return json.encode(body)
