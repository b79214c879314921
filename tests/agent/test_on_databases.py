"""Every test of a turn once more, on the stores that there really are: a SQLite file, and a database that nodes share.

The classes of the modules below have their sessions in memory when they are run by themselves.
"""

from pathlib import Path
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

from tests.agent import test_grants
from tests.agent.calls import test_agentcall, test_gatekeeper, test_gates, test_prompttools
from tests.agent.commands import test_commands
from tests.agent.sessions import (
    test_branches,
    test_edits,
    test_guests,
    test_leftovers,
    test_retention,
    test_shelf,
)
from tests.agent.sessions.test_branches import BranchCase
from tests.agent.sessions.test_edits import EditTestCase
from tests.agent.turns import (
    test_approvals,
    test_endings,
    test_held_store,
    test_jobs,
    test_retries,
    test_toolloop,
    test_turns,
)
from tests.agent.turns.test_retries import RetryCase
from tests.agent.turns.test_turns import TurnCase
from tests.store.inline import PostgresPlace, SqlitePlace, without_threads
from tests.support import Front, House, Reactor, ScriptedTool

MODULES: tuple[ModuleType, ...] = (
    test_agentcall,
    test_approvals,
    test_branches,
    test_commands,
    test_edits,
    test_endings,
    test_gatekeeper,
    test_gates,
    test_grants,
    test_guests,
    test_held_store,
    test_jobs,
    test_leftovers,
    test_prompttools,
    test_retention,
    test_retries,
    test_shelf,
    test_toolloop,
    test_turns,
)
BASES = (BranchCase, EditTestCase, RetryCase, TurnCase)

# A test may build many houses; the server takes so many connections, and no more.
MOST_PLACES = 4


class OnSqlite(SynchronousTestCase):
    """The sessions are in a file for each house."""

    def setUp(self) -> None:
        without_threads(self.patch)
        folder = Path(self.mktemp())
        folder.mkdir()

        def place(clock: Reactor) -> SqlitePlace:
            made = SqlitePlace(folder, clock)
            self.addCleanup(made.end)
            return made

        self.patch(House, "place", staticmethod(place))
        super().setUp()


class OnPostgres(SynchronousTestCase):
    """The sessions are in a database for each house."""

    def setUp(self) -> None:
        without_threads(self.patch)
        places: list[PostgresPlace] = []

        def place(clock: Reactor) -> PostgresPlace:
            places.append(PostgresPlace(clock))
            self.addCleanup(places[-1].leave)
            if len(places) > MOST_PLACES:
                places.pop(0).leave()
            return places[-1]

        self.patch(House, "place", staticmethod(place))
        super().setUp()


class _Ended(test_retries.EndedTurnTests):
    def test_retry_after_a_restart_runs_no_tool_twice(self) -> None:
        # Whoever answered it, this process before or another node a moment ago: the answer that is kept is told.
        tool = ScriptedTool()
        self.open(tools=(tool,))
        self.post("two", 0)
        self.call.call_tools(("clock", "{}"))
        self.house.calls[1].answer("noon")
        self.house.agent = self.house.new_agent()
        self.front = Front(self.house, heartbeat=0)
        self.assertEqual(self.answer(self.post("two", 1)), "noon")
        self.assertEqual(self.stored, ["two", "", "noon", "noon"])
        self.assertEqual((len(self.house.calls), len(tool.calls)), (2, 1))


# What is otherwise where several nodes share the sessions.
AMONG_NODES: dict[type, type] = {test_retries.EndedTurnTests: _Ended}


def _on(store: type[SynchronousTestCase], case: type[SynchronousTestCase], name: str) -> type:
    return type(name, (store, case), {"__module__": __name__, "__qualname__": name, "__doc__": case.__doc__})


for _module in MODULES:
    _room = _module.__name__.rpartition(".test_")[2].title().replace("_", "")
    for _case in vars(_module).copy().values():
        if isinstance(_case, type) and issubclass(_case, BASES) and _case.__module__ == _module.__name__:
            _name = f"{_room}{_case.__name__}"
            globals()[f"{_name}OnSqlite"] = _on(OnSqlite, _case, f"{_name}OnSqlite")
            _other = AMONG_NODES.get(_case, _case)
            globals()[f"{_name}OnPostgres"] = _on(OnPostgres, _other, f"{_name}OnPostgres")
# The loader takes whatever has a name here.
del _case, _other, _Ended
