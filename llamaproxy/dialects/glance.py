"""The text of a message's content at a glance: for a history, which is looked at and never judged."""

from collections.abc import Collection

from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder

from .body import Entries

# What decoding raises for a text that makes no sense.
UNREADABLE = (ValidationError, DecodeError, UnicodeDecodeError, RecursionError)


class _Part(Struct):
    """One part of a `content` list, as far as it is text."""

    type: str = "text"
    text: str | None = None


_content: Decoder[str | list[_Part] | None] = Decoder(str | Entries[_Part] | None)


def texts_of(content: Raw | bytes, *, without: Collection[str] = ()) -> list[str]:
    """The texts that a content consists of, but for parts of the types in `without`; pictures are skipped over.

    Raises one of `UNREADABLE` if it makes no sense.
    """
    said = _content.decode(content)
    if isinstance(said, str):
        return [said]
    return [part.text for part in said or () if part.text and part.type not in without]


def text_of(content: Raw | bytes, *, without: Collection[str] = ()) -> str:
    """The same as one text; that of a content that makes no sense is empty."""
    try:
        texts = texts_of(content, without=without)
    except UNREADABLE:
        return ""
    return texts[0] if len(texts) == 1 else "\n".join(texts)
