"""Ollama's lists and cards, read by the strict models of ollama-python and by what other clients require."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from ollama import ListResponse, ProcessResponse, ShowResponse
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects import ollama_models
from llamaproxy.dialects.names import find_model, matches
from llamaproxy.seams.errors import NoSuchModel
from llamaproxy.seams.types import ModelInfo

NOW = 1_700_000_000.25
PLAIN = ModelInfo(key="gemini25", model_id="google/gemini-2.5", kind="OPENAI")
SMALL = ModelInfo(
    key="small:135m",
    model_id="smollm2",
    kind="LOCAL",
    vision=True,
    context_length=2048,
    embedding_length=576,
    size=100_000_000,
    family="llama",
    parameter_size="135M",
    quantization="Q8_0",
    modified_at=NOW,
)


class ListTests(SynchronousTestCase):
    def test_tags_hold_what_strict_clients_require(self) -> None:
        listed = json.loads(ollama_models.tags([PLAIN, SMALL]))
        ListResponse.model_validate_json(ollama_models.tags([PLAIN, SMALL]), strict=True)
        self.assertEqual([entry["name"] for entry in listed["models"]], ["gemini25:latest", "small:135m"])
        for entry in listed["models"]:
            self.assertEqual(entry["model"], entry["name"])
            self.assertIs(type(entry["size"]), int)
            self.assertRegex(entry["digest"], "^[0-9a-f]{64}$")
            self.assertIsNotNone(datetime.fromisoformat(entry["modified_at"]).tzinfo)
            for field in ("parent_model", "format", "family", "parameter_size", "quantization_level"):
                self.assertIs(type(entry["details"][field]), str, field)
        self.assertEqual(ollama_models.tags([]), b'{"models":[]}')

    def test_pictures_are_offered_in_both_places_that_clients_look(self) -> None:
        plain, small = json.loads(ollama_models.tags([PLAIN, SMALL]))["models"]
        self.assertEqual((plain["capabilities"], plain["details"]["families"]), (["completion"], ["openai"]))
        self.assertEqual(small["capabilities"], ["completion", "vision"])
        self.assertEqual(small["details"]["families"], ["llama", "clip"])

    def test_a_digest_is_unique_stable_and_changes_with_capabilities(self) -> None:
        def digest(**changes: Any) -> str:
            values = {"key": "a", "model_id": "x", "kind": "OPENAI", **changes}
            return str(json.loads(ollama_models.tags([ModelInfo(**values)]))["models"][0]["digest"])

        self.assertEqual(digest(), digest(modified_at=5.0, loaded=False))
        others = {digest(), digest(key="b"), digest(vision=True), digest(model_id="y")}
        self.assertEqual(len(others), 4)

    def test_ps_holds_what_strict_clients_require(self) -> None:
        self.assertEqual(ollama_models.ps([]), b'{"models":[]}')
        wire = ollama_models.ps([SMALL])
        ProcessResponse.model_validate_json(wire, strict=True)
        (entry,) = json.loads(wire)["models"]
        self.assertEqual((entry["model"], entry["context_length"]), ("small:135m", 2048))
        self.assertEqual((entry["size_vram"], len(entry["digest"])), (0, 64))
        self.assertGreater(datetime.fromisoformat(entry["expires_at"]).year, 2100)

    def test_show_holds_what_strict_clients_require(self) -> None:
        for info in (PLAIN, SMALL):
            ShowResponse.model_validate_json(ollama_models.show(info), strict=True)
            card = json.loads(ollama_models.show(info))
            for field in ("license", "template", "modelfile", "parameters"):
                self.assertIs(type(card[field]), str, field)
            self.assertFalse([key for key in card["model_info"] if ".vision." in key])

    def test_a_card_tells_what_is_known_and_no_zeros(self) -> None:
        plain, small = (json.loads(ollama_models.show(info))["model_info"] for info in (PLAIN, SMALL))
        self.assertEqual(plain, {"general.architecture": "openai", "general.basename": "gemini25"})
        self.assertEqual(
            small,
            {
                "general.architecture": "llama",
                "general.basename": "small:135m",
                "general.parameter_count": 135_000_000,
                "llama.context_length": 2048,
                "llama.embedding_length": 576,
            },
        )

    def test_a_parameter_count_is_read_from_its_short_form(self) -> None:
        for size, expected in [
            ("135M", 135_000_000),
            ("7.6b", 7_600_000_000),
            ("12", 12),
            ("", 0),
            ("8x7B", 0),
        ]:
            info = ModelInfo(key="k", model_id="x", kind="LOCAL", family="f", parameter_size=size)
            card = json.loads(ollama_models.show(info))
            self.assertEqual(card["model_info"].get("general.parameter_count", 0), expected, size)

    def test_version_is_dotted_integers(self) -> None:
        for part in json.loads(ollama_models.version())["version"].split("."):
            int(part)


class TimeTests(SynchronousTestCase):
    @given(st.integers(0, 4_000_000_000) | st.floats(0, 4e9))
    @example(1_700_000_000.0)
    @example(1_699_999_999.999999)
    @example(1_699_999_999.9999998)
    # Between two microseconds.
    @example(1_692_418_032.3900065)
    def test_a_time_is_written_as_pythons_own(self, seconds: float) -> None:
        written = datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
        self.assertEqual(ollama_models.rfc3339(seconds), written)


class NameTests(SynchronousTestCase):
    def test_case_and_a_missing_tag_do_not_matter(self) -> None:
        for name, key, expected in [
            ("agent", "agent", True),
            ("agent:latest", "agent", True),
            ("Agent:LATEST", "agent", True),
            ("agent", "agent:latest", True),
            ("agent:7b", "agent:7B", True),
            ("agent", "agent:7b", False),
            ("agent:7b", "agent", False),
            ("agents", "agent", False),
            ("host:5000/agent", "host:5000/agent:latest", True),
            ("", "agent", False),
        ]:
            self.assertIs(matches(name, key), expected, (name, key))

    def test_find_model(self) -> None:
        self.assertIs(find_model("SMALL:135m", [PLAIN, SMALL]), SMALL)
        error = self.assertRaises(NoSuchModel, find_model, "x", [PLAIN, SMALL])
        self.assertEqual(str(error), "model 'x' not found")
