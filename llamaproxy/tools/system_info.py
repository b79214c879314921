"""`get_system_info`: what a model cannot know by itself, first of all the date."""

import os
import platform
from datetime import datetime
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from .. import __version__
from ..seams.interfaces import ITool
from ..seams.types import Access, ToolContext
from .base import BuiltIn, schema


@implementer(ITool)
class SystemInfoTool(BuiltIn):
    """Needs no gate: it tells nothing that the answer to a message does not tell."""

    name = "get_system_info"
    category = "system"
    description = "The current date, time and time zone, and the system that the assistant runs on."
    parameters = schema()

    def access(self, arguments: dict[str, Any]) -> Access:
        """Nothing."""
        return Access(operation=None)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """A line per fact."""
        now = datetime.now().astimezone()
        return succeed(
            "\n".join(
                [
                    f"Time: {now:%A, %d %B %Y, %H:%M:%S %Z} (UTC{now:%z})",
                    f"System: {platform.system()} {platform.machine()}, {os.cpu_count()} processors",
                    f"Server: llamaproxy {__version__}, Python {platform.python_version()}",
                ]
            )
        )
