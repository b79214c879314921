from pathlib import Path
from typing import Any

from msgspec import json
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home
from llamaproxy.tap import Options, build

ECHO = {"type": "OPENAI", "model_id": "tiny", "host": "http://127.0.0.1:1/v1"}


class BuildTests(SynchronousTestCase):
    def home(self, **models: Any) -> Home:
        home = Home(Path(self.mktemp()).absolute())
        home.ensure()
        home.models_file.write_bytes(json.encode({"default_model": next(iter(models)), "models": models}))
        return home

    def options(self) -> Options:
        options = Options()
        options.parseOptions(["--listen", "tcp:0:interface=127.0.0.1"])
        return options

    def test_unknown_type_is_a_line_with_file_and_key(self) -> None:
        home = self.home(a=ECHO, b={**ECHO, "type": "LLAMMA"})
        error = self.assertRaises(ConfigError, build, self.options(), home, MemoryReactorClock())
        self.assertIn(f"{home.models_file}: models.b.type: expected ", str(error))
        self.assertNotIn("\n", str(error))
