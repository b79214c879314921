"""What agentctl shows, takes and writes when somebody means harm."""

from msgspec import json

from .helpers import AgentctlCase


class SafetyTests(AgentctlCase):
    def test_no_password_of_a_url_is_shown(self) -> None:
        host = "http://anna:s3cret/p@w@127.0.0.1:1/v1"
        self.met("model-add", "x", "OPENAI", "m", "--host", host.replace("/p@w", ""))
        for words in (("model-info", "x"), ("models",), ("list",)):
            self.assertNotIn("s3cret", self.met(*words))
        self.assertIn("anna:***@127.0.0.1", self.met("model-info", "x"))
        self.assertNotIn(
            "s3cret", self.refused("model-add", "y", "OPENAI", "m", "--host", "ftp://anna:s3cret@h")
        )
        self.assertNotIn("s3cret", self.refused("doctor", "http://anna:s3cret@127.0.0.1:1"))

    def test_names_hold_nothing_that_acts_on_a_terminal(self) -> None:
        for odd in ("a\x1b[2J", "a\x9b", "a\u202eb", "a\u200bb", "a\x00"):
            self.refused("model-add", odd, "OPENAI", "m", "--host", "http://h/v1")
        for odd in ("a\x1b[2J", "a\x9b", "a\u202eb"):
            adding = ("model-add", odd, "OPENAI", "m", "--host", "http://h/v1")
            for words in (adding, ("model", odd), ("info", odd), (odd,)):
                self.assertNotIn(odd, self.refused(*words))

    def test_what_stands_in_a_file_acts_on_no_terminal_either(self) -> None:
        entry = {
            "type": "OPENAI",
            "model_id": "a\x1b[2J\u202e",
            "host": "http://h/v1",
            "description": "\x9b1m",
        }
        models = {**self.registry()["models"], "x": entry}
        self.home.models_file.write_bytes(json.encode({"default_model": "smollm2", "models": models}))
        for words in (("models",), ("model-info", "x")):
            shown = self.met(*words)
            self.assertIn(r"a\x1b[2J\u202e", shown)
            self.assertNotRegex(shown, "[\x1b\x9b\u202e]")

    def test_weights_outside_the_home_are_taken_only_on_demand(self) -> None:
        for outside in ("../../etc/x", "/etc/x.gguf", "a/../../../x"):
            self.assertIn("--anywhere", self.refused("model-add", "x", "LOCAL", outside))
            self.refused("model-pull", outside)
        self.met("model-add", "x", "LOCAL", "/etc/x.gguf", "--anywhere")
        self.met("model-add", "y", "LOCAL", "tiny")

    def test_no_planted_link_is_written_through(self) -> None:
        elsewhere = self.home.path / "elsewhere"
        lock = self.home.path / ".llm-models.json.lock"
        lock.unlink(missing_ok=True)
        lock.symlink_to(elsewhere)
        self.refused("model-add", "x", "OPENAI", "m", "--host", "http://h/v1")
        self.home.weights.mkdir(exist_ok=True)
        for name in (".tiny.gguf.new", ".tiny.gguf.part"):
            (self.home.weights / name).symlink_to(elsewhere)
        weights = self.home.path / "w.gguf"
        weights.write_bytes(b"GGUF" + bytes(100))
        self.met("model-pull", "tiny", "--from", str(weights))
        self.assertFalse(elsewhere.exists())
