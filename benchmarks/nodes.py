"""Many machines: what a turn costs and how long it takes with SQLite, and with up to three nodes on one PostgreSQL.

Everything is on one machine: nodes, database, clients and the model server share its cores. So what more nodes gain is
not to be seen here but in the processor time a turn, of the nodes and of the database.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from tests.tools.sql.servers import Missing, Postgres

from .clients import address_of
from .servers import Server, llamaproxy, upstream
from .table import milliseconds, ratio, table
from .turns import Figures, People

MODEL = "1000x1"
PEOPLE = 120
RATE, SECONDS, ROUNDS = 200.0, 6.0, 3
# Turns a second that are tried one after the other, for how long, and by how much p99 may be above SQLite's.
RATES, STEP, MOST_ADDED = (100, 150, 200, 250, 300, 350, 400, 500, 600, 800, 1000), 4.0, 0.05
GROWTH, GROWTH_RATE, LONG, FEW = (10, 1_000, 100_000), 100.0, 10_000, 10
# A node that commits each turn by itself, for comparison.
EACH_ALONE = """
import sys
from llamaproxy.store import thread
thread.BATCH = 1
from twisted.scripts.twistd import run
sys.argv[0] = "twistd"
run()
"""

_firsts = count(0, 1000)


def run(*, quick: bool = False) -> str:
    """All of it; in its quick form in less than five minutes."""
    try:
        postgres = Postgres(fsync=True)
    except Missing as missing:
        return f"nothing to measure: {missing}"
    try:
        with upstream() as source:
            return "\n\n".join(
                [
                    _side_by_side(postgres, source, 2 if quick else ROUNDS, 4.0 if quick else SECONDS),
                    _capacity(postgres, source, RATES[::2] if quick else RATES, 2.5 if quick else STEP),
                    _growth(postgres, source, 3.0 if quick else SECONDS),
                ]
            )
    finally:
        postgres.end()


def quick() -> str:
    """What `make bench NAME=nodes-quick` runs."""
    return run(quick=True)


# -- the nodes


def _database(postgres: Postgres, name: str) -> str:
    """The address of a new database."""
    postgres.execute(f"CREATE DATABASE {name}")
    return postgres.url.replace("/postgres?", f"/{name}?")


@contextmanager
def _nodes(source: Server, address: str, number: int, alone: bool = False) -> Iterator[list[Server]]:
    """So many on one database; `alone` is without group commit."""

    def share(home: Path) -> None:
        path = home / "plugins-enabled.json"
        config: dict[str, Any] = json.loads(path.read_text())
        config["plugin_config"]["plugin_proxy_llama"]["store"] = address
        path.write_text(json.dumps(config))

    program = [sys.executable, "-c", EACH_ALONE] if alone else None
    with ExitStack() as stack:
        yield [
            stack.enter_context(llamaproxy(source.port, [MODEL], share, program=program))
            for _ in range(number)
        ]


@contextmanager
def _people(servers: Sequence[Server], number: int = PEOPLE) -> Iterator[People]:
    with People(servers, number, next(_firsts)) as people:
        yield people


@contextmanager
def _all_kinds(postgres: Postgres, source: Server, prefix: str) -> Iterator[dict[str, list[Server]]]:
    """Each kind of server by its name; all stand at the same time, so that rounds can take turns."""
    with ExitStack() as stack:
        enter = stack.enter_context
        file = enter(llamaproxy(source.port, [MODEL]))
        nodes = enter(_nodes(source, _database(postgres, f"{prefix}_nodes"), 3))
        lonely = enter(_nodes(source, _database(postgres, f"{prefix}_alone"), 1, alone=True))
        yield {
            "SQLite": [file],
            "PostgreSQL, 1 node": nodes[:1],
            "PostgreSQL, 1 node, no group commit": lonely,
            "PostgreSQL, 2 nodes": nodes[:2],
            "PostgreSQL, 3 nodes": nodes,
        }


# -- what is measured


def _side_by_side(postgres: Postgres, source: Server, rounds: int, seconds: float) -> str:
    with _all_kinds(postgres, source, "side") as kinds, ExitStack() as stack:
        crowds = {name: stack.enter_context(_people(servers)) for name, servers in kinds.items()}
        figures: dict[str, list[Figures]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, people in crowds.items():
                figures[name].append(people.measure(RATE, seconds, postgres.pid))

    def of(name: str, what: Callable[[Figures], float]) -> float:
        return median(map(what, figures[name]))

    def row(name: str) -> list[str]:
        p50, p99 = of(name, lambda each: each.p50), of(name, lambda each: each.p99)
        cost = of(name, lambda each: each.cost)
        database = of(name, lambda each: each.database) if name != "SQLite" else 0.0
        return [
            name,
            f"{of(name, lambda each: each.turns):,.0f}",
            f"{cost * 1e6:,.0f} us",
            ratio(cost, of("SQLite", lambda each: each.cost)),
            f"{database * 1e6:,.0f} us",
            milliseconds(p50),
            milliseconds(p99),
            f"{(p50 - of('SQLite', lambda each: each.p50)) * 1e3:+.1f} ms",
            f"{(p99 - of('SQLite', lambda each: each.p99)) * 1e3:+.1f} ms",
        ]

    columns = [
        "turns/s",
        "node CPU/turn",
        "x SQLite",
        "database CPU/turn",
        "p50",
        "p99",
        "added p50",
        "added p99",
    ]
    head = f"{RATE:.0f} turns/s, {PEOPLE} people, medians of {rounds} rounds"
    return table([head, *columns], [row(name) for name in kinds])


def _capacity(postgres: Postgres, source: Server, rates: Sequence[int], seconds: float) -> str:
    """The most turns a second whose p99 is no more than `MOST_ADDED` above SQLite's on a machine at rest."""
    rows = []
    with _all_kinds(postgres, source, "most") as kinds:
        with _people(kinds["SQLite"]) as people:
            floor = people.measure(rates[0], seconds).p99
        for name, servers in kinds.items():
            best = None
            # New people for each: whoever waited for the others' rounds would have lost an idle connection meanwhile.
            with _people(servers) as people:
                for rate in rates:
                    found = people.measure(rate, seconds, postgres.pid)
                    if found.p99 - floor > MOST_ADDED or found.late > 0.01:
                        break
                    best = found
            rows.append(
                [name, "none", "-", "-"]
                if best is None
                else [name, f"{best.turns:,.0f}", milliseconds(best.p50), milliseconds(best.p99)]
            )
    columns = [f"most turns/s with p99 < {MOST_ADDED * 1e3:.0f} ms added", "turns/s", "p50", "p99"]
    return table(columns, rows)


def _growth(postgres: Postgres, source: Server, seconds: float) -> str:
    rows: list[list[str]] = []
    first: Figures | None = None
    for sessions, turns, who in (
        *((number, 10, "everybody" if number == FEW else "some") for number in GROWTH),
        (FEW, LONG, "everybody"),
    ):
        address = _database(postgres, f"grown_{sessions}_{turns}")
        with _nodes(source, address, 1) as nodes:
            begin = next(_firsts)
            _fill(address, begin, sessions, turns)
            with People(nodes, FEW if who == "everybody" else min(PEOPLE, sessions), begin) as people:
                found = people.measure(GROWTH_RATE, seconds, postgres.pid)
        first = first or found
        whole = found.cost + found.database
        rows.append(
            [
                f"{sessions:,} sessions of {turns:,} turns",
                f"{found.cost * 1e6:,.0f} us",
                f"{found.database * 1e6:,.0f} us",
                milliseconds(found.p50),
                milliseconds(found.p99),
                ratio(whole, first.cost + first.database),
            ]
        )
    columns = ["node CPU/turn", "database CPU/turn", "p50", "p99", "CPU x first row"]
    return table([f"what lies in the database already, {GROWTH_RATE:.0f} turns/s", *columns], rows)


def _fill(address: str, first: int, sessions: int, turns: int) -> None:
    """Puts sessions of so many turns into a database that a node has made its tables in."""
    from llamaproxy.store.postgres.address import connect_arguments
    from llamaproxy.store.postgres.connection import Connection

    connection = Connection(connect_arguments(address, "NOTHING", lambda _: None))
    with connection.transaction():
        connection.execute("CREATE TEMPORARY TABLE names (session_id text) ON COMMIT DROP")
        connection.executemany(
            "INSERT INTO names VALUES (?)",
            [(f"llama-{address_of(first + number)}",) for number in range(sessions)],
        )
        connection.execute("INSERT INTO sessions SELECT session_id, '', '{}', 0, 0, 1, 0 FROM names")
        connection.execute(
            "INSERT INTO branches (session_id, branch, length) SELECT session_id, 1, ? FROM names",
            (2 * turns,),
        )
        connection.execute(
            """
            INSERT INTO messages (session_id, branch, seq, role, content, place)
            SELECT session_id, 1, seq, CASE seq % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
                'message ' || seq, md5(session_id || seq) FROM names, generate_series(0, ? - 1) AS seq
            """,
            (2 * turns,),
        )
    connection.execute("VACUUM ANALYZE")
    connection.close()
