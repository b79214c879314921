"""What agentctl does about the operator's key."""

from .helpers import AgentctlCase


class OperatorKeyTests(AgentctlCase):
    def test_key_is_shown_alone_on_its_line_and_a_new_one_on_demand(self) -> None:
        key = self.met("operator-key").strip()
        self.assertEqual(self.home.operator_key_file.read_text().strip(), key)
        self.assertEqual(self.met("operator-key").strip(), key)
        new = self.met("operator-key", "new").splitlines()[0]
        self.assertNotEqual(new, key)
        self.assertEqual(self.met("operator-key").strip(), new)
