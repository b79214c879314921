"""Every command against all rights, safe ones, none and the operator, cell by cell; the document shows the same."""

from llamaproxy.agent.commands import commands as _filled  # noqa: F401
from llamaproxy.agent.commands.table import TABLE
from llamaproxy.seams.errors import OverLimit
from llamaproxy.seams.grants import Grants
from llamaproxy.seams.limits import Rate
from llamaproxy.seams.types import Caller, Rights
from tests.agent.turns.test_turns import TurnCase
from tests.support import ScriptedModel, ScriptedTool
from tests.test_docs import read
from tests.web.deeds import COLUMNS, DEEDS, NO, YES, rows

_REFUSALS = ("turned off here", "for the operator only", "ask the operator")


class DeedTests(TurnCase):
    def outcome(self, message: str, column: str) -> str:
        tools = [ScriptedTool("search_web", "search"), ScriptedTool("db_query", "db")]
        self.house = self.make(tools=tools)
        rights: Rights = "safe" if column == "safe" else "none" if column == "none" else "all"
        who = Caller(
            session_id=f"llama-{column}", address="10.0.0.1", rights=rights, owner=column == "operator"
        )
        text = self.listen(message, who).text
        return NO if any(words in text for words in _REFUSALS) else YES

    def test_each_cell_is_as_the_table_says(self) -> None:
        for deed in DEEDS:
            found = tuple(self.outcome(deed.message, column) for column in COLUMNS)
            self.assertEqual(found, deed.may, deed.message)

    def test_what_a_profile_shuts_is_shut_for_every_column(self) -> None:
        for column in COLUMNS:
            self.house = self.make(
                ScriptedModel("main"), ScriptedModel("other"), tools=[ScriptedTool("clock")]
            )
            grants = Grants(models=("other",), tools=(), turns=Rate(1, 60))
            rights: Rights = "safe" if column == "safe" else "none" if column == "none" else "all"
            who = Caller(
                session_id="llama-x",
                address="10.0.0.1",
                rights=rights,
                owner=column == "operator",
                grants=grants,
            )
            self.listen("hello", who)
            self.assertEqual((self.house.models[0].calls, len(self.house.models[1].calls)), ([], 1), column)
            self.assertEqual(list(self.house.models[1].calls[0].request.tools), [], column)
            self.assertIsInstance(self.listen("more", who).error, OverLimit, column)

    def test_every_command_is_in_the_table(self) -> None:
        tried = {deed.message.split()[0].removeprefix("!").lower() for deed in DEEDS}
        self.assertEqual({entry.name.lower() for entry in TABLE.values() if not entry.hidden} - tried, set())

    def test_document_shows_the_table(self) -> None:
        self.assertIn(rows(), read("docs/rights.md"))
