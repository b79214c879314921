"""Who may do what, row by row; the document shows the same rows."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.web.guard import Guard
from tests.support import Front, House
from tests.test_docs import read
from tests.web.rights import ALL, NO_KEY, NONE, OPERATOR, OPERATORS, REFUSED, SAFE, TABLE, Row, rows

BODY = b'{"messages": [{"role": "user", "content": "!whoami"}], "stream": false}'
_WORDS = {
    "all commands, as the operator": OPERATOR,
    "all commands": ALL,
    "commands about your own conversation": SAFE,
}


class RightsTests(SynchronousTestCase):
    def outcome(self, row: Row) -> str:
        guard = Guard(**{"operator_key": OPERATORS.removeprefix("Bearer "), **row.settings})
        wire = Front(House(folder=Path(self.mktemp())), guard).connect(row.peer)
        headers = {"Host": row.host, "Content-Length": str(len(BODY)), **row.headers}
        lines = [
            f"POST /api/chat HTTP/{row.version}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        wire.channel.dataReceived("\r\n".join(lines).encode() + b"\r\n\r\n" + BODY)
        response = wire.response()
        if response.code != 200:
            return {401: NO_KEY, 403: REFUSED}[response.code]
        said = response.json()["message"]["content"]
        return NONE if "turned off" in said else _WORDS[said.rpartition("Rights: ")[2]]

    def test_everybody_may_do_what_the_table_says_and_no_more(self) -> None:
        for row in TABLE:
            self.assertEqual(self.outcome(row), row.may, row)

    def test_document_shows_the_table(self) -> None:
        self.assertIn(rows(), read("docs/rights.md"))
