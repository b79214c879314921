from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.agent.calls.outbound import Outbound


class OutboundTests(SynchronousTestCase):
    def refused(self, outbound: Outbound, *messages: str) -> list[bool]:
        return [outbound.refusal(message) is not None for message in messages]

    def test_without_lists_everything_passes(self) -> None:
        self.assertEqual(self.refused(Outbound(), "!reset", "hello", ""), [False] * 3)

    def test_prefix_ends_where_a_word_does_in_any_case(self) -> None:
        blocked = Outbound(blocked=["!db", "drop all"])
        self.assertEqual(
            self.refused(blocked, "!db x", " !DB", "!db_query x", "Drop All!", "drop allowed", "say !db"),
            [True, True, False, True, False, False],
        )

    def test_prefix_without_letters_stands_for_all_that_begins_so(self) -> None:
        self.assertEqual(self.refused(Outbound(blocked=["!"]), "!help", "hello"), [True, False])

    def test_only_what_is_allowed_passes_and_never_what_is_blocked(self) -> None:
        outbound = Outbound(allowed=["summarise", "!model"], blocked=["!model delete"])
        messages = ("Summarise this", "!model", "!model delete x", "do it", "")
        self.assertEqual(self.refused(outbound, *messages), [False, False, True, True, True])

    def test_every_line_that_agents_take_for_a_command_is_checked(self) -> None:
        blocked = Outbound(blocked=["!reset"])
        self.assertEqual(
            self.refused(
                blocked, "!help\n!reset", "hello\r\n  !Reset now", "hello\u2028!reset", "hello\nreset"
            ),
            [True, True, True, False],
        )

    def test_operators_variables_are_lists_with_commas(self) -> None:
        environ = {"OUTBOUND_AGENT_BLOCKED_COMMANDS": "!reset, !db ,", "OUTBOUND_AGENT_ALLOWED_COMMANDS": ""}
        outbound = Outbound.from_environ(environ)
        self.assertEqual(self.refused(outbound, "!reset", "!db x", "hello"), [True, True, False])
