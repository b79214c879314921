"""What the tests of several tools share."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from llamaproxy.seams.interfaces import ITool
from llamaproxy.seams.types import ToolContext


def context(reactor: IReactorTime) -> ToolContext:
    return ToolContext(session_id="llama-10.0.0.1", address="10.0.0.1", reactor=reactor)


def call(tool: ITool, reactor: Any, **arguments: Any) -> Deferred[str]:
    """A call that has passed schema and gates."""
    return tool.run(arguments, context(reactor))
