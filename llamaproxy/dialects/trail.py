"""The shape of an app's own history: where its user's messages stand in it, and how the answers begin that it shows."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder, encode

from ..seams.openings import opening_of
from .provenance import apart, own_words

# Of an app's history, how many places back an edit is followed.
MAX_TRAIL = 64


class Said(Protocol):
    """One message of the history."""

    @property
    def role(self) -> str:
        """Whose it is."""

    @property
    def content(self) -> Raw:
        """What it says, as JSON."""


class _Part(Struct):
    """One part of a `content` list, as far as it is text."""

    type: str = "text"
    text: str | None = None


_texts: Decoder[str | list[_Part] | None] = Decoder(str | list[_Part] | None)


class Trail(Struct, frozen=True):
    """`places` and `shown` are `ChatTurn.trail` and `ChatTurn.shown`; `steps` are the places behind each of the last
    messages of the user that have no answer between them, behind each of its runs if an app put several into one.
    """

    places: tuple[str, ...]
    shown: tuple[str | None, ...]
    steps: tuple[tuple[str, ...], ...]


_UNREADABLE = (ValidationError, DecodeError, UnicodeDecodeError, RecursionError)


def read_trail(messages: Sequence[Said]) -> Trail:
    """The shape of a history. Messages of the user with no answer between them are at one place."""
    digest = blake2b(digest_size=8)
    places = [""]
    answers: list[list[Raw]] = [[]]
    steps: list[tuple[str, ...]] = []
    speaks = False
    for message in messages:
        role = message.role.lower()
        if role == "user":
            behind = []
            for words in _texts_as_json(message.content):
                digest.update(words)
                behind.append(digest.hexdigest())
            if speaks:
                places.pop()
            else:
                answers.append([])
                steps.clear()
            places.append(behind[-1])
            steps.append(tuple(behind))
            speaks = True
        elif role == "assistant":
            answers[-1].append(message.content)
            speaks = False
    return Trail(tuple(places[-MAX_TRAIL:]), tuple(map(_opening, answers[-MAX_TRAIL:])), tuple(steps))


def _opening(pieces: Sequence[Raw]) -> str | None:
    return opening_of("\n".join(map(_text, pieces))) if pieces else None


def _text(content: Raw) -> str:
    """What an answer says; nothing where that makes no sense, for a history is not judged."""
    try:
        said = _texts.decode(content)
    except _UNREADABLE:
        return ""
    if isinstance(said, list):
        return "\n".join(
            [part.text for part in said if part.text and part.type not in ("thinking", "reasoning")]
        )
    return said or ""


def _texts_as_json(content: Raw) -> list[bytes]:
    """The person's words as JSON, which says itself where it ends; several where a note of the app parts them.

    Pictures are skipped over, a history may be full of them. So is what an app wraps around its newest message only.
    """
    try:
        said = _texts.decode(content)
    except _UNREADABLE:
        return [bytes(content)]
    pieces = [said] if isinstance(said, str) else [part.text for part in said or () if part.text]
    return [*map(encode, apart(own_words(piece) or None for piece in pieces) or [""])]
