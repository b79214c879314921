"""The plan of the house, as `docs/architecture.md` has it: which room may import which, and no circles anywhere."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import llamaproxy

PACKAGE = Path(llamaproxy.__file__).parent
PLAN = PACKAGE.parent / "docs" / "architecture.md"
# The root has nothing but the version, which all may tell.
ROOT = "__init__.py"


def section(title: str) -> str:
    """A section of the plan."""
    if not PLAN.exists():
        raise SkipTest("the documents are in a checkout only")
    return PLAN.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


def modules() -> dict[str, Path]:
    """All modules by dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ("llamaproxy", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imports(path: Path, name: str, known: dict[str, Path]) -> Iterator[str]:
    """The modules of ours that a module imports, wherever in it the import stands."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                if (target := f"{source}.{alias.name}") in known or (target := source) in known:
                    yield target


class WallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.may = {
            room: set(names(allowed)) for room_cell, _, allowed in rows("Rooms") for room in names(room_cell)
        }
        self.modules = modules()
        self.arrows = {
            name: {target for target in imports(path, name, self.modules) if target != name}
            for name, path in self.modules.items()
        }

    def room(self, module: str) -> str:
        """The innermost room of the plan in which a module lies."""
        path = self.modules[module].relative_to(PACKAGE).as_posix()
        inside = [room for room in self.may if path == room or (room.endswith("/") and path.startswith(room))]
        return max(inside, key=len, default=path)

    def test_every_file_lies_in_a_room_of_the_plan(self) -> None:
        self.assertEqual({self.room(module) for module in self.modules} - {ROOT}, set(self.may))

    def test_rooms_import_only_what_the_plan_lets_them(self) -> None:
        wrong = [
            f"{module} imports {target}"
            for module, targets in self.arrows.items()
            for target in targets
            if (here := self.room(module)) != (there := self.room(target))
            and there != ROOT
            and there not in self.may[here]
        ]
        self.assertEqual(wrong, [])

    def test_no_files_import_each_other_in_a_circle(self) -> None:
        try:
            TopologicalSorter(self.arrows).prepare()
        except CycleError as circle:
            self.fail(f"a circle: {' -> '.join(circle.args[1])}")

    def test_the_ground_floor_stands_on_nothing_of_ours(self) -> None:
        for room in ("seams/", "sockets/", "config/", "doctor/", "plugins/"):
            self.assertEqual(self.may[room], set())


class PromiseTests(SynchronousTestCase):
    def test_what_is_promised_to_outsiders_is_where_it_was_promised(self) -> None:
        for module, promised, _ in rows("Promised to outsiders"):
            (name,) = names(module)
            found = import_module(name)
            self.assertEqual([each for each in names(promised) if not hasattr(found, each)], [])
