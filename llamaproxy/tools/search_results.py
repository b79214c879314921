"""What the search tools have in common: their arguments, and how results look to a model."""

from collections.abc import Iterable, Mapping
from typing import Any

from .base import schema

LONGEST_SNIPPET = 500

PARAMETERS = schema(
    ("query",), query={"type": "string", "minLength": 1, "description": "What to search for."}
)


def as_text(results: Iterable[Mapping[str, Any]], url: str, snippet: str) -> str:
    """Numbered results; `url` and `snippet` are the keys under which the engine has them."""
    blocks = []
    for number, result in enumerate(results, 1):
        body = " ".join(str(result.get(snippet) or "").split())[:LONGEST_SNIPPET]
        blocks.append(f"{number}. {result.get('title') or '(no title)'}\n{result.get(url) or ''}\n{body}")
    return "\n\n".join(blocks) or "(no results)"
