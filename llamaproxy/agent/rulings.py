"""What commands rule for the whole server takes effect here, in each of its processes."""

from typing import Any, cast

from ..seams.gates import GateMap
from ..seams.limits import ALLOWED, TIMEOUT, Ruling
from .calls.delegates import Delegates
from .calls.delegation import Delegation
from .sessions.limits import Limits


class Rules:
    """Obeys rulings; `gates` are the operator's.

    `delegates` are offered anew when a ruling changes who may be asked.
    """

    def __init__(self, limits: Limits, delegation: Delegation, delegates: Delegates, gates: GateMap) -> None:
        self._limits = limits
        self._delegation = delegation
        self._delegates = delegates
        self._gates: dict[str, Any] = cast(dict[str, Any], gates)

    def offer(self) -> None:
        """Looks anew who may be asked by others."""
        self._delegates.offer()

    def obey(self, ruling: Ruling) -> None:
        """Makes it hold in this process."""
        value: Any = ruling.value
        match ruling.what:
            case "depth":
                self._limits.depths[ruling.key] = value
            case "gate":
                kind, side, name = ruling.key.split(" ", 2)
                self._gates.setdefault(kind, {}).setdefault(name, {})[side] = value
            case "rate":
                self._limits.rates[ruling.key] = value
            case what if what == ALLOWED:
                self._delegation.allow(ruling.key, value)
                self._delegates.offer()
            case what if what == TIMEOUT:
                self._delegation.set_timeout(ruling.key, value)
            case name:
                setattr(self._limits, name, value)
