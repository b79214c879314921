"""What is kept of a reply's text."""

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.replies.transcript import HEAD_BYTES, TAIL_BYTES, Transcript


class TranscriptTests(SynchronousTestCase):
    def test_ordinary_reply_is_kept_whole(self) -> None:
        transcript = Transcript()
        for piece in ("Grüß ", "dich", " 👋"):
            transcript.add(piece)
        self.assertEqual(transcript.text(), "Grüß dich 👋")

    def test_piece_with_half_a_character_is_refused_whole(self) -> None:
        transcript = Transcript()
        self.assertRaises(UnicodeEncodeError, transcript.add, "so \ud83d")
        self.assertEqual(transcript.text(), "")

    def test_nothing_said_is_false(self) -> None:
        self.assertFalse(Transcript())

    def test_endless_reply_keeps_beginning_and_end_in_bounded_memory(self) -> None:
        transcript = Transcript()
        for number in range(100_000):
            transcript.add(f"{number:09}\n")
        text = transcript.text()
        self.assertLessEqual(len(text), HEAD_BYTES + 2 * TAIL_BYTES + 100)
        self.assertTrue(text.startswith("000000000\n"))
        self.assertTrue(text.endswith("000099999\n"))
        self.assertIn("bytes ...]", text)

    def test_one_huge_piece_is_kept_in_bounded_memory_too(self) -> None:
        transcript = Transcript()
        transcript.add("a" + "é" * 4_000_000 + "z")
        text = transcript.text()
        self.assertLessEqual(len(text.encode()), HEAD_BYTES + 2 * TAIL_BYTES + 100)
        self.assertTrue(text.startswith("aéé"))
        self.assertTrue(text.endswith("ééz"))
        self.assertIn("bytes ...]", text)

    def test_piece_that_goes_over_the_head_is_kept_whole(self) -> None:
        transcript = Transcript()
        pieces = ["x" * (HEAD_BYTES - 1), "é", "y", "é" * 100]
        for piece in pieces:
            transcript.add(piece)
        self.assertEqual(transcript.text(), "".join(pieces))
