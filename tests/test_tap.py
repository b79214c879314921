"""From flags and files to a tree of services, as far as it goes without a socket."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from msgspec import json
from twisted.application.service import IServiceMaker
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.plugin import getPlugins
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config import ConfigError, Home
from llamaproxy.tap import Options, _log_file, build, makeService
from llamaproxy.web.door import Door


class OptionsTests(SynchronousTestCase):
    def parse(self, *flags: str) -> Options:
        options = Options()
        options.parseOptions(list(flags))
        return options

    def test_flags_are_all_optional(self) -> None:
        options = self.parse()
        self.assertEqual([options[name] for name in ("port", "host", "listen", "home", "model")], [None] * 5)

    def test_flags_are_read(self) -> None:
        options = self.parse("--port", "8080", "--host", "::1", "--home", "/h", "--model", "m")
        self.assertEqual(
            [options[name] for name in ("port", "host", "home", "model")], [8080, "::1", "/h", "m"]
        )

    def test_wrong_flags_end_the_program_in_one_line(self) -> None:
        for flags in (
            ["--port", "0"],
            ["--port", "65536"],
            ["--port", "http"],
            ["--workers", "0"],
            ["--workers", "many"],
            ["--listen", "tcp:1", "--port", "1"],
            ["--listen", "tcp:1", "--host", "::"],
            ["--colour"],
            ["surplus"],
        ):
            line = str(self.assertRaises(SystemExit, self.parse, *flags).code)
            self.assertTrue(line.startswith("llamaproxy: "))
            self.assertNotIn("\n", line)

    def test_log_file_is_the_one_that_twistd_will_open(self) -> None:
        for flags, name in (
            ([], "twistd.log"),
            (["--logfile", "x/y"], "x/y"),
            (["-n"], None),
            (["-n", "-l", "a.log"], "a.log"),
            (["-l", "-"], None),
            (["--syslog"], None),
            (["--logger", "twisted.python.log.PythonLoggingObserver"], None),
        ):
            twistd = ServerOptions()
            twistd.parseOptions([*flags, "llamaproxy"])
            self.assertEqual(_log_file(twistd.subOptions), name, flags)

    def test_a_planted_log_file_ends_the_start_in_one_line(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "log").symlink_to(folder / "precious")
        twistd = ServerOptions()
        twistd.parseOptions(["-n", "-l", str(folder / "log"), "llamaproxy", "--home", str(folder / "home")])
        line = str(self.assertRaises(SystemExit, makeService, twistd.subOptions).code)
        self.assertIn("its links are not followed", line)
        self.assertNotIn("\n", line)
        self.assertFalse((folder / "precious").exists() or (folder / "home").exists())

    def test_twistd_finds_the_plugin(self) -> None:
        (found,) = [plugin for plugin in getPlugins(IServiceMaker) if plugin.tapname == "llamaproxy"]
        self.assertIs(found.options, Options)


class BuildTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Home(Path(self.mktemp()).absolute())
        self.home.ensure()
        entry: dict[str, Any] = {"type": "OPENAI", "model_id": "x", "host": "http://127.0.0.1:1/v1"}
        self.models: dict[str, dict[str, Any]] = {
            "one": entry,
            "two": entry,
            "off": {**entry, "enabled": False},
        }
        self.reactor: Any = MemoryReactorClock()
        self.write({})

    def write(self, door: dict[str, Any]) -> None:
        plugins = {"enabled_plugins": ["plugin_proxy_llama"], "plugin_config": {"plugin_proxy_llama": door}}
        self.home.plugins_file.write_bytes(json.encode(plugins))
        self.home.models_file.write_bytes(json.encode({"default_model": "one", "models": self.models}))

    def listen(self, *flags: str) -> tuple[str, int]:
        """Where a server with these flags listens."""
        options = Options()
        options.parseOptions(list(flags))
        stack = build(options, self.home, self.reactor)
        (door,) = [part for part in stack if isinstance(part, Door)]
        door.privilegedStartService()
        port, _, _, interface = self.reactor.tcpServers[-1]
        return interface, port

    def test_what_an_idle_server_does_not_use_is_not_loaded(self) -> None:
        heavy = {
            *(
                "jsonschema",
                "referencing",
                "treq",
                "requests",
                "segno",
                "sqlglot",
                "mcp",
                "pg8000",
                "click",
                "rich",
            ),
            *("OpenSSL", "cryptography", "service_identity", "twisted.internet.ssl", "twisted.web.client"),
            *(
                "backports.zstd",
                "opentelemetry",
                "llamaproxy.doctor",
                "llamaproxy.workers",
                "llamaproxy.models.agent",
            ),
            *("llamaproxy.models.anthropic", "llamaproxy.models.embedded.local", "llamaproxy.models.ollama"),
        }
        program = (
            "import sys; from pathlib import Path; from llamaproxy.tap import Options, build;"
            "from llamaproxy.config import Home; from twisted.internet.testing import MemoryReactorClock;"
            f"build(Options(), Home(Path({str(self.home.path)!r})), MemoryReactorClock());"
            f"print(sorted({heavy} & {{*sys.modules}}))"
        )
        loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        self.assertEqual(loaded.stdout.strip(), "[]")

    def test_flag_beats_the_file_and_the_file_beats_the_default(self) -> None:
        self.write({"llama_port": 28081})
        self.assertEqual(self.listen(), ("0.0.0.0", 28081))
        self.assertEqual(self.listen("--port", "28082"), ("0.0.0.0", 28082))
        self.assertEqual(self.listen("--host", "127.0.0.1"), ("127.0.0.1", 28081))

    def test_endpoint_string_beats_host_and_port_and_flags_beat_that_of_the_file(self) -> None:
        self.write({"listen": "tcp:28083:interface=127.0.0.2"})
        self.assertEqual(self.listen(), ("127.0.0.2", 28083))
        self.assertEqual(self.listen("--listen", "tcp:28084"), ("", 28084))
        self.assertEqual(self.listen("--port", "28085"), ("0.0.0.0", 28085))

    def test_what_cannot_be_used_of_a_flag_is_told_in_our_own_words(self) -> None:
        garbage = self.home.path / "garbage.pem"
        garbage.write_text("no key")
        raw = re.compile(r"invalid literal|_parse|positional|Errno|routines|list index|Traceback|enforcement")
        for flags, expected in (
            (("--port", "abc"), "expected a whole number, got 'abc'"),
            (("--port", "1.5"), "expected a whole number"),
            (("--port", "70000"), "from 1 to 65535"),
            (("--workers", "many"), "expected a whole number"),
            (("--listen", "tcp:"), "number"),
            (("--listen", "tcp:abc"), "number"),
            (("--listen", "tcp:port=99999"), "from 0 to 65535"),
            (("--listen", "tcp:28087:backlog=abc"), "number"),
            (("--listen", "tcp"), "something is missing"),
            (("--listen", "tcp:28087:nonsense=1"), "not known"),
            (("--listen", "systemd:domain=INET:index=0"), "something is missing"),
            (("--listen", "28087"), "Unknown endpoint type"),
            (("--listen", "ssl:28087:privateKey=/nowhere.pem"), "/nowhere.pem: No such file"),
            (("--listen", f"ssl:28087:privateKey={garbage}:certKey={garbage}"), "have to be PEM"),
            (("--host", "nosuch.invalid"), "cannot listen on nosuch.invalid"),
        ):
            end = self.assertRaises(SystemExit, self.listen, *flags)
            self.assertIn(expected, str(end.code), flags)
            self.assertNotRegex(str(end.code), raw)
            self.assertNotIn("\n", str(end.code))

    def test_workers_need_an_address_that_they_can_share(self) -> None:
        for listen in ("unix:socket", "ssl:28086:privateKey=nowhere.pem"):
            with mock.patch("llamaproxy.tap.serverFromString"):
                end = self.assertRaises(SystemExit, self.listen, "--workers", "2", "--listen", listen)
            self.assertIn(f"not {listen}; for TLS put a proxy", str(end.code))

    def test_number_of_workers_is_the_flags_or_else_the_files(self) -> None:
        self.write({"workers": 3})
        for flags, workers in (((), 3), (("--workers", "2"), 2), (("--workers", "1"), 0)):
            with mock.patch("llamaproxy.workers.supervisor.Supervisor") as supervisor:
                options = Options()
                options.parseOptions(["--host", "127.0.0.1", "--port", "28087", *flags])
                build(options, self.home, self.reactor)
            self.assertEqual(
                [call.args[1] for call in supervisor.call_args_list], [workers] if workers else []
            )

    def test_model_of_an_unknown_type_stops_the_server_only_as_the_default(self) -> None:
        self.models["typo"] = {**self.models["one"], "type": "OPENAPI"}
        self.write({})
        self.listen()
        error = self.assertRaises(ConfigError, self.listen, "--model", "typo")
        self.assertIn("models.typo.type: expected", str(error))

    def test_entry_that_is_wrong_stops_the_server_only_as_the_default(self) -> None:
        self.models["hasty"] = {**self.models["one"], "idle_timeout": 0}
        self.write({})
        with capturedLogs() as events:
            self.listen()
        (line,) = [formatEvent(event) for event in events if "left out" in formatEvent(event)]
        self.assertRegex(line, r"^model 'hasty' is left out: .*models\.hasty\.idle_timeout: expected")
        refusal = str(self.assertRaises(SystemExit, self.listen, "--model", "hasty").code)
        self.assertIn("models.hasty.idle_timeout: expected", refusal)

    def test_model_that_is_unknown_or_disabled_ends_the_program_with_those_there_are(self) -> None:
        for name in ("three", "off"):
            line = str(self.assertRaises(SystemExit, self.listen, "--model", name).code)
            self.assertIn("there are: one, two", line)
