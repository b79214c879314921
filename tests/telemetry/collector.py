"""A collector on this machine that takes OTLP over HTTP, as OpenTelemetry's own does."""

import gzip
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

reactor: Any = installed_reactor


class Collector(Resource):
    """Puts what it is sent into `came`: the resource's attributes, and the spans. Answers with `status`."""

    isLeaf = True
    status = 200

    def __init__(self) -> None:
        super().__init__()
        self.came: DeferredQueue[tuple[dict[str, Any], list[Span]]] = DeferredQueue()

    async def listen(self) -> str:
        """Its address."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self._port = await endpoint.listen(Site(self))
        return f"http://127.0.0.1:{self._port.getHost().port}"

    async def stop(self) -> None:
        await maybeDeferred(self._port.stopListening)

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        assert request.path == b"/v1/traces", request.path
        body = request.content.read()
        if request.getHeader("content-encoding") == "gzip":
            body = gzip.decompress(body)
        asked = ExportTraceServiceRequest.FromString(body)
        request.setResponseCode(self.status)
        for group in asked.resource_spans:
            spans = [span for scope in group.scope_spans for span in scope.spans]
            self.came.put((values(group.resource.attributes), spans))
        request.setHeader(b"content-type", b"application/x-protobuf")
        return ExportTraceServiceResponse().SerializeToString()


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict."""

    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        return (
            [plain(each) for each in value.array_value.values]
            if kind == "array_value"
            else getattr(value, kind)
        )

    return {each.key: plain(each.value) for each in attributes}
