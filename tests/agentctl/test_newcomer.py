"""Small things that somebody meets on the first day."""

import json
import os
from unittest import mock

from .helpers import AgentctlCase


class HintTests(AgentctlCase):
    def test_what_is_to_be_typed_names_the_home_in_use(self) -> None:
        flag = f"--home {self.home.path}"
        for words in (("models",), ("model-info", "smollm2"), ("models", "--json")):
            self.assertIn(f"agentctl model-pull smollm2 {flag}", self.met(*words))
        self.assertIn(f"model-pull smollm2 {flag}", self.run_words("model-test", "smollm2")[1])
        with mock.patch.dict(os.environ, {"LLAMAPROXY_HOME": str(self.home.path)}):
            self.assertNotIn("--home", self.met("models"))
        self.met("model-add", "other", "LOCAL", "other")
        self.met("model-disable", "other")
        self.assertIn(f"model-enable other {flag}", self.met("models"))

    def test_a_path_with_a_blank_can_be_pasted(self) -> None:
        self.home = type(self.home)(self.home.path / "my home")
        self.home.ensure()
        self.assertIn(f"--home '{self.home.path}'", self.met("models"))


class ForProgramsTests(AgentctlCase):
    def test_whatever_shows_or_lists_something_does_so_as_json(self) -> None:
        for words, expected in (
            (("max-users",), {"max_users": 50}),
            (("session-timeout",), {"session_idle_timeout_minutes": 60.0}),
            (("history-maxctx",), {"history_max_ctx": 200}),
            (("workers",), {"workers": 1}),
            (("sessions", "list"), []),
            (("caller-list",), {}),
        ):
            self.assertEqual(json.loads(self.met(*words, "--json")), expected, words)
        for name in (
            "list",
            "models",
            "gate-list",
            "history-list",
            "limit-list",
            "ratelimit-list",
            "port-list",
        ):
            json.loads(self.met(name, "--json"))

    def test_no_conversations_are_no_mistake(self) -> None:
        self.assertIn("no conversations yet", self.met("sessions", "list"))
