"""What is carried on about a history is what a look at all of it would find."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.sessions.kept import Kept
from llamaproxy.seams.types import Given, Image, Mark, Message, ToolCall

PICTURE = Image(media_type="image/png", data="x" * 100)
CALL = ToolCall(id="1", name="look", arguments="{}")
MESSAGES = (
    Message(role="user", content="a question"),
    Message(role="user", content="one of an app", mark=Mark(before="1", after="2", linked=True)),
    Message(role="user", content="see", images=(PICTURE,)),
    Message(role="assistant", content="", tool_calls=(CALL,)),
    Message(role="tool", content="found", tool_call_id="1"),
    Message(role="assistant", content="an answer"),
    Message(role="assistant", content="half of", interrupted=True),
    Message(role="assistant", content="as shown", given=Given(place="2", opening="asshown")),
)


class KeptTests(SynchronousTestCase):
    def test_it_is_the_same_whether_it_came_piece_by_piece_or_at_once(self) -> None:
        random = Random(5)
        for most in (0, 1, 2, 7, 20):
            kept, said = Kept(), list[Message]()
            for _ in range(60):
                new = random.choices(MESSAGES, k=random.randrange(4))
                said += new
                kept = kept.with_more(new, most)
                begins = max(0, len(said) - most) if most else 0
                fresh = Kept.of(kept.messages, begins)
                self.assertEqual(
                    [message.role for message in kept.messages], [each.role for each in said[begins:]]
                )
                self.assertEqual(kept.begins, begins)
                self.assertEqual(kept.end, len(said))
                self.assertEqual(kept.turns, fresh.turns)
                self.assertEqual(kept.weight, fresh.weight)

    def test_only_the_newest_picture_stays(self) -> None:
        kept = Kept.of([MESSAGES[2], MESSAGES[5]]).with_more([MESSAGES[2]], 0)
        self.assertEqual([len(message.images) for message in kept.messages], [0, 0, 1])
        self.assertLess(kept.with_more([MESSAGES[0]], 1).weight, 1000)

    def test_turn_goes_on_in_what_is_added(self) -> None:
        kept = Kept.of(MESSAGES[3:4]).with_more(MESSAGES[:1], 0)
        self.assertEqual([(turn.start, turn.end) for turn in kept.turns], [(1, 2)])
        kept = kept.with_more(MESSAGES[3:5], 0)
        self.assertTrue(kept.turns[-1].interrupted)
        kept = kept.with_more(MESSAGES[5:6], 0)
        self.assertEqual([(turn.start, turn.end) for turn in kept.turns], [(1, 5)])
        self.assertFalse(kept.turns[-1].interrupted)

    def test_places_are_counted_in_the_branch(self) -> None:
        kept = Kept.of(MESSAGES[:1], 100)
        self.assertEqual(kept.turns[0].start, 100)
        self.assertEqual(kept.until(100), [])
        self.assertEqual(kept.since(100), kept.until(101))
