"""A message as a row of a table, and back."""

import json
from typing import Any

import msgspec

from ..seams.surrogates import joined
from ..seams.types import Message


def to_row(message: Message) -> tuple[str, str, str | None, str | None]:
    """Role, content, JSON of all that most messages lack, and the place of what was given."""
    fields = msgspec.to_builtins(message)
    role, content = fields.pop("role"), fields.pop("content")
    place = message.given.place if message.given else message.mark.after if message.mark else None
    if "\0" in content:
        # Not every database keeps it in a text; JSON does.
        fields["content"], content = content, content.replace("\0", "")
    # A model that cuts an emoji in half must not cost the turn, and half an emoji would only break the next prompt.
    return role, joined(content), _json(fields) if fields else None, place


def from_row(role: str, content: str, rest: str | None) -> Message:
    """The message of the first three."""
    fields = json.loads(rest) if rest else {}
    return msgspec.convert({"role": role, "content": content, **fields}, Message)


def _json(fields: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(fields).decode()
    except UnicodeEncodeError:
        # Half an emoji.
        return joined(json.dumps(fields, ensure_ascii=False))


def opening_of(rest: str | None) -> str:
    """The one in an answer's `given`."""
    given = json.loads(rest).get("given") if rest else None
    return str(given["opening"]) if given else ""
