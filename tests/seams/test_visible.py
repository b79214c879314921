"""Text of others is text, wherever it is shown."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.errors import ModelError, ToolError
from llamaproxy.seams.visible import discreet, visible


class VisibleTests(SynchronousTestCase):
    def test_what_acts_is_shown_by_its_number(self) -> None:
        for text, shown in (
            ("a\x1b[2Jb", r"a\x1b[2Jb"),
            ("\x9b1m\x07\x7f", r"\x9b1m\x07\x7f"),
            ("\u202e\u2066\u200f", r"\u202e\u2066\u200f"),
            ("\ud83d", r"\ud83d"),
            ("\U000e0041", r"\U000e0041"),
        ):
            self.assertEqual((visible(text), visible(text, lines=True)), (shown, shown))

    def test_lines_and_spaces_stay_where_there_may_be_several(self) -> None:
        self.assertEqual(visible("a\n\tb\u3000c", lines=True), "a\n\tb\u3000c")
        self.assertEqual(visible("a\n\u200b\u3000"), r"a\x0a\u200b\u3000")

    def test_words_of_all_languages_stay(self) -> None:
        for text in ("grün", "日本語", "שלום", "🙂", "a b"):
            self.assertEqual(visible(text), text)

    def test_errors_hold_nothing_that_acts(self) -> None:
        for kind in (ModelError, ToolError):
            self.assertEqual(str(kind("a\x1b[31m\u202eb\nc")), "a\\x1b[31m\\u202eb\nc")

    def test_passwords_of_urls_are_left_out(self) -> None:
        for text, shown in (
            ("at http://anna:s3cret@host:1/v1 now", "at http://anna:***@host:1/v1 now"),
            ("postgresql://a:p@ss@h/db", "postgresql://a:***@h/db"),
            ("http://:x@h", "http://:***@h"),
            ("http://anna@h http://h:1/a@b", "http://anna@h http://h:1/a@b"),
        ):
            self.assertEqual(discreet(text), shown)
