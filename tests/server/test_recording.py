import subprocess
import sys
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config.collector import hindrance, wants_spans

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


class RecordingTests(SynchronousTestCase):
    def test_spans_are_wanted_where_a_collector_is_named(self) -> None:
        for environ, wanted in (
            ({}, False),
            (ENDPOINT, True),
            ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}, True),
            ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
            ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
            ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ):
            self.assertEqual(wants_spans(environ), wanted, environ)

    def test_what_keeps_them_from_being_sent_is_told(self) -> None:
        self.assertIn("grpc", hindrance({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) or "")
        self.assertIsNone(hindrance({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}))
        # Of a package that is not there nothing is found; of one whose parent is not there not even that.
        ways: list[dict[str, Any]] = [
            {"return_value": None},
            {"side_effect": ModuleNotFoundError("opentelemetry")},
        ]
        for looked_for in ways:
            with mock.patch("llamaproxy.config.collector.find_spec", **looked_for):
                self.assertIn("llamaproxy[otel]", hindrance(ENDPOINT) or "")
        self.assertIsNone(hindrance(ENDPOINT))

    def test_opentelemetry_is_loaded_only_where_a_collector_is_named(self) -> None:
        program = (
            "import sys; from llamaproxy.config import FrontDoor; from llamaproxy.server.recording import recording;"
            "parts = recording(FrontDoor(), {environ}, dict, None);"
            "print(len(parts.services), 'opentelemetry' in sys.modules)"
        )
        for environ, expected in (({}, "0 False"), (ENDPOINT, "1 True")):
            ran = subprocess.run(
                [sys.executable, "-c", program.format(environ=environ)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            self.assertEqual(ran.stdout.strip(), expected)
