"""What the operator grants one kind of caller of models, tools and work."""

from msgspec import Struct

from .gates import GateMap
from .limits import Rate


class Grants(Struct, frozen=True, kw_only=True):
    """The part of a caller's profile that the agent goes by.

    Sessions begin with `model`, "" for the agent's own default; only the `models` may be asked and only the `tools`
    called (by their names or categories), None for all. `gates` lie over the operator's for everybody, and under the
    session's. `turns` is how often models may be asked; tokens are those of prompts and answers, 0 for any number.
    """

    model: str = ""
    models: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    gates: GateMap = {}
    turns: Rate | None = None
    tokens_per_hour: int = 0
    tokens_per_day: int = 0

    def allows_model(self, key: str) -> bool:
        """Whether that model may be asked."""
        return self.models is None or key in self.models

    def allows_tool(self, name: str, category: str) -> bool:
        """Whether that tool may be called."""
        return self.tools is None or not {"*", name, category}.isdisjoint(self.tools)


EVERYTHING = Grants()
