"""What models call the tools of MCP servers: plain and short, and the same whenever the server lists them.

A gate goes by such a name, so no tool may come into another's: a name that leaves out what tells a tool from others
has a mark of the whole behind it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

# What providers take for a tool's name.
LONGEST_NAME = 64
_MARK_LENGTH = 8


def group_of(server: str) -> str:
    """The category of a server's tools, with which their names begin."""
    return f"mcp_{server}"


def tool_names(group: str, tools: Sequence[str]) -> list[str]:
    """The names of a server's tools, in their order."""
    plain = [_plain(tool) for tool in tools]
    shared = Counter(plain)
    return [
        f"{group}_{name}" if _is_whole(group, name, tool, shared[name] > 1) else _marked(group, name, tool)
        for name, tool in zip(plain, tools, strict=True)
    ]


def _plain(tool: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", tool.lower()).strip("_")


def _is_whole(group: str, name: str, tool: str, is_shared: bool) -> bool:
    """Whether a plain name says all that the tool's own one does; of several only the one that is plain itself."""
    if not name or not tool.isascii() or len(group) + 1 + len(name) > LONGEST_NAME:
        return False
    return name == tool if is_shared else True


def _marked(group: str, name: str, tool: str) -> str:
    mark = sha256(tool.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_LENGTH]
    return f"{f'{group}_{name}'[: LONGEST_NAME - _MARK_LENGTH - 1].rstrip('_')}_{mark}"
