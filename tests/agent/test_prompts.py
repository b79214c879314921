"""The system prompt out of its files."""

import os
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.prompts import DEFAULT, PromptFiles
from tests.support import immediately


class PromptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.files = PromptFiles(self.folder, immediately)

    def write(self, suffix: str, text: str, folder: str = "") -> None:
        path = self.folder / folder / f".system_prompt{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def text(self, folder: str | None = None) -> str:
        return self.successResultOf(self.files.prompt(folder)).text

    def test_without_a_file_there_is_a_default(self) -> None:
        self.assertEqual(self.text(), DEFAULT)

    def test_sections_follow_the_main_text_a_heading_deeper_each(self) -> None:
        self.write("", "Main.\n[SECTIONS]\nstyle: how to write\nfacts: what to know\n")
        self.write("_style", "Short.\n[SECTIONS]\ntone: warm\n")
        self.write("_tone", "Be warm.")
        self.write("_facts", "## Facts\nIt rains.")
        self.assertEqual(
            self.text(),
            "Main.\n\n## style: how to write\nShort.\n\n### tone: warm\nBe warm.\n\n## facts: what to know\nIt rains.",
        )

    def test_missing_section_is_an_empty_body(self) -> None:
        self.write("", "Main.\n[SECTIONS]\nstyle: how to write")
        self.assertEqual(self.text(), "Main.\n\n## style: how to write")

    def test_circle_and_repetition_become_notes(self) -> None:
        self.write("", "Main.\n[SECTIONS]\na: one\na: again")
        self.write("_a", "A.\n[SECTIONS]\na: itself")
        self.assertEqual(
            self.text(),
            "Main.\n\n## a: one\nA.\n\n### a: itself\n[section 'a' includes itself]"
            "\n\n## a: again\n[section 'a' is named twice]",
        )

    def test_section_cannot_leave_the_folder(self) -> None:
        self.write("", "Main.\n[SECTIONS]\nx/../../secret: s")
        self.assertEqual(self.text(), "Main.")

    def test_changed_file_is_read_again(self) -> None:
        self.write("", "Main.\n[SECTIONS]\na: one")
        self.text()
        self.write("_a", "New.")
        self.assertIn("New.", self.text())
        self.write("_a", "Old.")
        os.utime(self.folder / ".system_prompt_a", (1, 1))
        self.assertIn("Old.", self.text())

    def test_model_can_have_a_folder_of_its_own(self) -> None:
        self.write("", "Mine.")
        self.write("", "Theirs.", "prompts")
        self.assertEqual((self.text(), self.text("prompts")), ("Mine.", "Theirs."))

    def test_those_who_come_during_a_look_at_the_files_share_the_next_one(self) -> None:
        looks: list[Deferred[Any]] = []

        def in_thread(look: Any, path: Path) -> Deferred[Any]:
            done: Deferred[Any] = Deferred()
            done.addCallback(lambda _: look(path))
            looks.append(done)
            return done

        files = PromptFiles(self.folder, in_thread)
        prompts = [files.prompt() for _ in range(3)]
        self.assertEqual(len(looks), 1)
        self.write("", "Changed meanwhile.")
        looks[0].callback(None)
        looks[1].callback(None)
        self.assertEqual(len(looks), 2)
        self.assertEqual([self.successResultOf(each).text for each in prompts], ["Changed meanwhile."] * 3)

    def test_rewriting_a_section_follows_no_link_that_was_put_in_its_way(self) -> None:
        self.write("", "Main.")
        precious = self.folder / "precious"
        precious.write_text("kept")
        (self.folder / ".system_prompt.new").symlink_to("precious")
        self.successResultOf(self.files.rewrite(None, "", "Else."))
        self.assertEqual((precious.read_text(), self.text()), ("kept", "Else."))
