"""What our own tools have in common."""

from typing import Any

from zope.interface import implementer

from ..seams.interfaces import ILasting


@implementer(ILasting)
class BuiltIn:
    """A tool that comes with us: most of them need nothing but their calls."""

    timeout = 30.0

    def start(self) -> None:
        """Called when the server has started; may begin to load what the first call will need."""

    def stop(self) -> None:
        """Called when the server stops; ends what is under way."""


def schema(required: tuple[str, ...] = (), **properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a tool's arguments; what is not in `properties` is refused."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }
