"""How an answer is known again that an app shows in its own way."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.seams.openings import LENGTH, agree, opening_of


class OpeningTests(SynchronousTestCase):
    def test_what_apps_add_and_leave_out_does_not_count(self) -> None:
        for shown in (
            "Hello, world!",
            "  **Hello**, _world_!\n\n",
            "<think>Let me see.</think>Hello, world!",
            "<think>\nLet me see.\n</think>\n\nHello, world!",
            '<details type="reasoning" done="true">\n<summary>Thought</summary>\n> Let me\n</details>\nHello, world!',
            "Hello, <details><summary>clock</summary>noon</details>\nworld!",
            "<THINKING>x</Thinking>HELLO WORLD",
        ):
            self.assertEqual(opening_of(shown), "helloworld", shown)

    def test_other_scripts_and_signs_count(self) -> None:
        for text, opening in (
            ("こんにちは、世界", "こんにちは世界"),
            ("👍 !", "👍!"),
            ("", ""),
            ("<think>only thoughts</think>", ""),
            ("<think>never ends", "thinkneverends"),
            ("a < b", "ab"),
        ):
            self.assertEqual(opening_of(text), opening, text)

    def test_it_is_bounded(self) -> None:
        self.assertEqual(opening_of("x" * 100_000), "x" * LENGTH)
        self.assertEqual(opening_of("!" * 100_000), "!" * LENGTH)

    def test_no_text_costs_more_than_its_length(self) -> None:
        # With the square of it, each of these would take minutes.
        for piece, opening in (
            ("<think>", ("think" * 13)[:LENGTH]),
            ("<details ", ("details" * 10)[:LENGTH]),
            ("<think></think>", ""),
            ("</think>", ("think" * 13)[:LENGTH]),
            ("<think>a</details>", ("thinkadetails" * 5)[:LENGTH]),
        ):
            self.assertEqual(opening_of(piece * 200_000), opening, piece)

    def test_less_of_the_same_answer_agrees(self) -> None:
        self.assertTrue(agree("hello", "hello"))
        self.assertTrue(agree("helloworld", "hello"))
        self.assertTrue(agree("hello", "helloworld"))
        self.assertFalse(agree("hello", "help"))
        self.assertFalse(agree("hello", ""))
        self.assertFalse(agree("", "hello"))
