"""The shape of an app's own history: where its user's messages stand in it, and how the answers begin that it shows."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol, TypeVar

from msgspec import Raw, Struct
from msgspec.json import encode

from ..seams.openings import opening_of
from .glance import UNREADABLE, text_of, texts_of
from .provenance import apart, own_words

# Of an app's history, how many places back an edit is followed.
MAX_TRAIL = 64
# An app shows the same messages again with each new one. What the last ones say is remembered, of those up to so many
# bytes; it is a few megabytes at most.
SHORT = 2048
MOST_KNOWN = 2048
# The parts of an answer that are not said.
_THOUGHTS = ("thinking", "reasoning")


T = TypeVar("T")


class Said(Protocol):
    """One message of the history."""

    @property
    def role(self) -> str:
        """Whose it is, in lower case."""

    @property
    def content(self) -> Raw:
        """What it says, as JSON."""


class Step(Struct, frozen=True):
    """A message of the user, by its index, and the places behind it: several if an app put several runs into one."""

    index: int
    places: list[str]


class Trail(Struct, frozen=True):
    """`places` and `shown` are `ChatTurn.trail` and `ChatTurn.shown`; `steps` are the last messages of the user that
    have no answer between them.
    """

    places: tuple[str, ...]
    shown: tuple[str | None, ...]
    steps: list[Step]


def read_trail(messages: Sequence[Said], newest: str = "") -> Trail:
    """The shape of a history. Messages of the user with no answer between them are at one place.

    `newest` is the text of the last message where that is known and has nothing around it. It is not remembered: many
    apps never show it again.
    """
    digest = blake2b(digest_size=8)
    places = [""]
    answers: list[list[Raw]] = [[]]
    steps: list[Step] = []
    speaks = False
    unread = len(messages) - 1 if newest else len(messages)
    for index, message in enumerate(messages):
        if message.role == "user":
            behind = []
            for words in _texts_as_json(message.content) if index < unread else (encode(newest),):
                digest.update(words)
                behind.append(digest.hexdigest())
            step = Step(index, behind)
            if speaks:
                places[-1] = behind[-1]
                steps.append(step)
            else:
                places.append(behind[-1])
                answers.append([])
                steps = [step]
            speaks = True
        elif message.role == "assistant":
            answers[-1].append(message.content)
            speaks = False
    shown = [_opening(pieces) if pieces else None for pieces in answers[-MAX_TRAIL:]]
    return Trail(tuple(places[-MAX_TRAIL:]), tuple(shown), steps)


def _remembered(read: Callable[[bytes], T]) -> Callable[[Raw], T]:
    """`read`, whose results for short contents are remembered."""
    known = lru_cache(maxsize=MOST_KNOWN)(read)

    def look(content: Raw) -> T:
        data = bytes(content)
        return known(data) if len(data) <= SHORT else read(data)

    return look


@_remembered
def _opening_of(content: bytes) -> str:
    return opening_of(text_of(content, without=_THOUGHTS))


def _opening(pieces: Sequence[Raw]) -> str:
    if len(pieces) == 1:
        return _opening_of(pieces[0])
    return opening_of("\n".join(text_of(piece, without=_THOUGHTS) for piece in pieces))


@_remembered
def _texts_as_json(content: bytes) -> tuple[bytes, ...]:
    """The person's words as JSON, which says itself where it ends; several where a note of the app parts them.

    Pictures are skipped over, a history may be full of them. So is what an app wraps around its newest message only.
    """
    try:
        pieces = texts_of(content)
    except UNREADABLE:
        return (content,)
    # As nearly all are.
    if len(pieces) == 1:
        return (encode(own_words(pieces[0])),)
    return tuple(map(encode, apart(own_words(piece) or None for piece in pieces) or [""]))
