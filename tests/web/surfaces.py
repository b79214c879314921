"""What the tests of the OpenAI and the Anthropic endpoints share: a turn that thinks and speaks, and named events."""

from typing import Any

from msgspec import json

from llamaproxy.seams.types import Reasoning, Text
from tests.support import USAGE, Response

from .test_routes import WebCase


class SurfaceCase(WebCase):
    def complete(self, path: str, body: dict[str, Any], **result: Any) -> Response:
        """A whole exchange in which the model thinks 'hm' and says 'Hi there' in two segments."""
        wire = self.start(path, body)
        call = self.house.calls[-1]
        call.send([Reasoning("hm"), Text("Hi")])
        call.say(" there")
        call.finish(usage=USAGE, **result)
        return wire.response()

    def named_events(self, response: Response) -> list[tuple[str, Any]]:
        """The events of a stream in which each has a name, as a strict reader sees them."""
        self.assertEqual((response.code, response.headers["content-type"]), (200, "text/event-stream"))
        self.assertTrue(response.body.endswith(b"\n\n"))
        events = []
        for event in response.body[:-2].split(b"\n\n"):
            name, data = event.split(b"\n")
            self.assertEqual((name[:7], data[:6]), (b"event: ", b"data: "))
            events.append((name[7:].decode(), json.decode(data[6:])))
        return events
