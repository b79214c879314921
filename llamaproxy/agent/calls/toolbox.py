"""The installed tools: which of them a model is offered, and whether the arguments of a call are what a tool takes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from ...seams.grants import EVERYTHING, Grants
from ...seams.interfaces import ITool
from .arguments import BadArguments, BrokenSchema, decoded

if TYPE_CHECKING:
    from .terms import Terms


class Toolbox:
    """Tools by name, in the order in which they were added. Tools may come and go while the server runs; `changes`
    counts how often they have.

    `choices` says by model key which tools the model is offered, by their names or categories; None stands for
    all of them, which is also what a model without an entry gets.
    """

    log = Logger()

    def __init__(
        self, tools: Iterable[ITool] = (), choices: Mapping[str, Iterable[str] | None] | None = None
    ) -> None:
        self._tools: dict[str, ITool] = {}
        self._terms: dict[str, Terms] = {}
        self._choices = choices or {}
        self.changes = 0
        for tool in tools:
            self.add(tool)

    def choose(self, choices: Mapping[str, Iterable[str] | None]) -> None:
        """Sets anew which tools each model is offered."""
        self.changes += 1
        self._choices = choices

    def __iter__(self) -> Iterator[ITool]:
        return iter(self._tools.values())

    def get(self, name: str) -> ITool | None:
        """The tool of that name."""
        return self._tools.get(name)

    def add(self, tool: ITool) -> None:
        """Installs a tool, in place of one that has its name; one whose schema is broken is left out."""
        from .terms import Terms

        try:
            terms = Terms(tool.parameters)
        except BrokenSchema as error:
            self.log.warn(
                "the tool {name} is left out: its schema is broken ({error})",
                name=tool.name,
                error=str(error),
            )
            return
        self.changes += 1
        self._tools[tool.name] = tool
        self._terms[tool.name] = terms

    def remove(self, name: str) -> None:
        """Takes a tool out; the calls of it that run go on."""
        self.changes += 1
        self._tools.pop(name, None)
        self._terms.pop(name, None)

    def offered(self, key: str, grants: Grants = EVERYTHING) -> dict[str, ITool]:
        """The tools that the model `key` may call in a turn of a caller with these `grants`, by name."""
        if not self._tools:
            return {}
        choice = self._choices.get(key)
        wanted = None if choice is None or "*" in choice else set(choice)
        return {
            name: tool
            for name, tool in self._tools.items()
            if (wanted is None or wanted & {name, tool.category}) and grants.allows_tool(name, tool.category)
        }

    def arguments(self, tool: ITool, text: str) -> dict[str, Any]:
        """The arguments of a call, from the JSON that a model wrote. Raises `BadArguments`."""
        return self.check(tool, decoded(text))

    def check(self, tool: ITool, arguments: Any) -> dict[str, Any]:
        """The arguments as the tool's schema wants them, mended in place where that is plain. Raises `BadArguments`."""
        if not isinstance(arguments, dict):
            raise BadArguments("the arguments must be a JSON object")
        terms = self._terms.get(tool.name)
        return arguments if terms is None else terms.fitted(arguments)


def definition(tool: ITool) -> dict[str, Any]:
    """A tool as models are told of it; see `ModelRequest.tools`."""
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
