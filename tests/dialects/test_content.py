"""What stands in a message beside its texts: documents, pages, results and files that are text."""

import base64
import json
from typing import Any

from msgspec import Raw
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.dialects.content import Said, read_said
from llamaproxy.seams.errors import BadRequest
from llamaproxy.seams.types import Material

GREEN = "The sky is green."
DATA = base64.b64encode(GREEN.encode()).decode()
PDF = base64.b64encode(b"%PDF-1.7\n...").decode()


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


class ContentTests(SynchronousTestCase):
    def read(self, *parts: Any) -> Said:
        return read_said(Raw(json.dumps(parts).encode()), "here")

    def test_what_holds_text_is_material_under_its_name(self) -> None:
        page = {"type": "search_result", "source": "https://x", "title": "t", "content": [text("y")]}
        for part, what, words in (
            (
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": GREEN}},
                "a file",
                GREEN,
            ),
            (
                {"type": "document", "title": "a.txt", "source": {"type": "text", "data": GREEN}},
                "the file a.txt",
                GREEN,
            ),
            ({"type": "document", "source": {"type": "content", "content": GREEN}}, "a file", GREEN),
            (
                {"type": "document", "source": {"type": "content", "content": [text("a"), text("b")]}},
                "a file",
                "a\nb",
            ),
            (
                {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": DATA}},
                "a file",
                GREEN,
            ),
            (page, "t (https://x), found by a search", "y"),
            (
                {"type": "tool_result", "tool_use_id": "t", "content": GREEN},
                "the result of a tool of the app",
                GREEN,
            ),
            ({"type": "tool_result", "content": [page]}, "t (https://x), found by a search", "y"),
            (
                {"type": "tool_result", "content": [{"type": "tool_reference", "tool_name": "grep"}]},
                "the result of a tool of the app",
                "[the tool grep]",
            ),
            ({"type": "file", "file": {"filename": "a.txt", "file_data": DATA}}, "the file a.txt", GREEN),
            ({"type": "file", "file": {"file_data": f"data:text/plain;base64,{DATA}"}}, "a file", GREEN),
            ({"type": "input_file", "filename": "a.txt", "file_data": DATA}, "the file a.txt", GREEN),
        ):
            said = self.read(part, text("what colour is it?"))
            self.assertEqual(said.material, (Material(what=what, text=words),), part)
            self.assertEqual((said.runs, said.pieces), (("what colour is it?",), 1))

    def test_blank_texts_are_no_pieces_of_a_persons_words(self) -> None:
        self.assertEqual(self.read(text("!help"), text(""), text(" \n")).pieces, 1)
        self.assertEqual(self.read(text("one"), text("two")).pieces, 2)

    def test_empty_ones_are_nothing(self) -> None:
        for part in (
            {"type": "tool_result", "tool_use_id": "t"},
            {"type": "tool_result", "content": []},
            {"type": "search_result", "source": "x", "title": "t", "content": []},
            {"type": "tool_reference", "tool_name": "grep"},
        ):
            self.assertEqual(self.read(part, text("hi")).material, (), part)

    def test_what_is_no_text_is_refused_with_the_reason(self) -> None:
        for part in (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
            {"type": "document"},
            {"type": "file", "file": {"file_id": "f"}},
            {"type": "file", "file": {"file_data": PDF}},
            {"type": "file", "file": {"file_data": "not base64!"}},
            {"type": "file", "file": {"file_data": base64.b64encode(b"\xff\xfe\x00").decode()}},
            {"type": "input_file", "file_url": "https://x/y.txt"},
        ):
            error = self.assertRaises(BadRequest, self.read, part)
            self.assertIn("files are not understood here unless they are text", str(error), part)

    def test_content_in_content_goes_so_deep_and_no_deeper(self) -> None:
        nested: Any = GREEN
        for _ in range(3):
            nested = [{"type": "tool_result", "content": nested}]
        self.assertEqual(self.read(*nested).material[0].text, GREEN)
        for _ in range(200):
            nested = [{"type": "tool_result", "content": nested}]
        self.assertIn("nested too deeply", str(self.assertRaises(BadRequest, self.read, *nested)))
