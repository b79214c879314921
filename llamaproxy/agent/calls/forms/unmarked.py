"""Answers that are nothing but calls, without a mark: objects, Python, a fenced block, a tool's name with an object.

Anything else in the answer, before or behind, makes them text: an example that is talked about.
"""

import re
from collections.abc import Collection

from . import readers
from .blocks import Block, Hopeless
from .readers import Reader, Reading, Written
from .table import Form

FENCE = "```"
# Fenced blocks that are a call by their name, so that words may stand before them.
CALL_LANGUAGES = ("tool_call", "tool_code", "tool")
LANGUAGES = ("", "json", *CALL_LANGUAGES)
# The first key of an object that may be a call.
_KEYS = (
    *("name", "arguments", "parameters", "function", "function_call", "tool", "tool_name", "tool_calls"),
    *("tool_call_id", "type", "id"),
)
_LONGEST_LEAD = 300
_FIRST_KEY = re.compile(r'\s*(?:\[\s*)?(?:\{\s*(?:"([^"]*)(")?)?)?')
_IN_A_LIST = re.compile(r"\[\s*([\w.]*)(\s*\(?)")
_WORD = re.compile(r"([\w.]*)(\s*)")
_FENCE_HEAD = re.compile(r"```([A-Za-z_]*)(\s*)")
# What stands before a name in an answer from which a server has taken the marks.
_HARMONY = ("commentary to=functions.", "assistantcommentary to=functions.")
ACTION = "Action:"
_RECIPIENT = ">>>"
_FUNCTOOLS = "functools["
_PLAIN = Form(family="without a mark", openers=())
_FENCED = Form(family="fenced", openers=(), closers=(FENCE,))
_harmony = readers.after(r"to=functions\.([\w.-]{1,200})\s*(?:code|json)?\s*(?=\{)")


class Unmarked:
    """One such answer from its first sign that is no space; `fenced` if that begins a fence, in one of `languages`."""

    def __init__(self, names: Collection[str], fenced: bool, languages: Collection[str] = LANGUAGES) -> None:
        self._names = names
        self._languages = languages
        self._pieces: list[str] = []
        self._length = 0
        self._block: Block | None = None
        # Where the calls begin and end, as far as they are known, and how each is to be read.
        self._spans: list[tuple[int, int, Reader]] = []
        self._begin = 0
        self._read: Reader = readers.strict
        self._form = _FENCED if fenced else _PLAIN
        self._lead = ""

    def feed(self, piece: str) -> None:
        """Takes a piece. Raises `Hopeless`."""
        self._pieces.append(piece)
        self._length += len(piece)
        while piece:
            if self._block is None:
                self._lead += piece
                place = self._opening()
                if place is None:
                    if len(self._lead) > _LONGEST_LEAD:
                        raise Hopeless
                    return
                piece, self._lead = self._lead[place:], ""
                self._begin = self._length - len(piece)
                self._block = Block(self._form)
            end = self._block.feed(piece)
            if end is None:
                return
            if self._form is _PLAIN:
                raise Hopeless  # something stands behind it
            self._spans.append((self._begin, self._begin + end - len(FENCE), self._read))
            piece = (
                piece[len(piece) - (self._length - self._begin - end) :]
                if self._begin + end < self._length
                else ""
            )
            self._block = None

    @property
    def looked_at(self) -> int:
        """How far its fenced blocks have been looked at, if it has any."""
        if self._form is _PLAIN:
            return 0
        begin = self._spans[-1][1] + len(FENCE) if self._spans else 0
        return begin + 1

    def calls(self, whole: bool) -> list[Written]:
        """The calls, now that there is no more. Raises `ValueError`."""
        if self._block is not None:
            self._spans.append((self._begin, self._begin + self._block.length(), self._read))
        elif self._lead.strip():
            raise ValueError("no call")
        text = "".join(self._pieces)
        found: list[Written] = []
        for begin, end, read in self._spans:
            found += read(Reading(text[begin:end], self._names, whole and read is not readers.strict))
        if not found or any(call.name not in self._names for call in found):
            raise ValueError("no call of a tool that there is")
        return found

    def _opening(self) -> int | None:
        """Where the values begin; None if that is not known yet."""
        space = len(self._lead) - len(self._lead.lstrip())
        place = space
        text = self._lead
        if self._form is _FENCED:
            text = text[space:]
            if ACTION.startswith(text) and not self._spans:
                return None
            if text.startswith(ACTION):
                text = text[len(ACTION) :].lstrip()
            if len(text) < len(FENCE) and FENCE.startswith(text):
                return None
            head = _FENCE_HEAD.match(text)
            if head is None:
                raise Hopeless
            language = head[1].lower()
            if head.end() == len(text):
                if not any(known.startswith(language) for known in self._languages):
                    raise Hopeless
                return None
            if language not in self._languages:
                raise Hopeless
            self._read = readers.body if language in CALL_LANGUAGES else readers.strict
            place = len(self._lead) - len(text) + head.end()
            names = (*self._names, "print") if language in CALL_LANGUAGES else ()
            return place if self._may_begin(text[head.end() :], names) else None
        mark = text[space:]
        if _RECIPIENT.startswith(mark):
            return None
        if mark.startswith(_RECIPIENT):
            place += len(_RECIPIENT)
        return place if self._may_begin(text[place:], self._names) else None

    def _may_begin(self, text: str, names: Collection[str]) -> bool:
        """Whether a call begins like this; False if it is too early to say. Raises `Hopeless`."""
        if text[0] == "{":
            return _is_object(text)
        if text[0] == "[":
            return self._is_list(text)
        for mark in _HARMONY:
            if text.startswith(mark):
                self._read = _harmony
                return True
            if mark.startswith(text):
                return False
        if text.startswith(_FUNCTOOLS):
            self._read = _functools
            return True
        word = _WORD.match(text)
        if word is None or (word.end() == len(text) and not word[2]):
            if any(
                mark.startswith(text)
                for name in (*names, _FUNCTOOLS)
                for mark in (name, f"default_api.{name}")
            ):
                return False
            raise Hopeless
        if word[1].removeprefix("default_api.") not in names:
            raise Hopeless
        if word.end() == len(text):
            return False
        match text[word.end()]:
            case "(":
                return True
            case "{":
                self._read = readers.named_object
                return True
        raise Hopeless

    def _is_list(self, text: str) -> bool:
        """Whether it is a list of objects, or of calls as in Python."""
        head = _IN_A_LIST.match(text)
        if head is None or text.startswith("{", head.end()):
            return _is_object(text)
        if head[2].endswith("("):
            if head[1].removeprefix("default_api.") not in self._names:
                raise Hopeless
            return True
        if head.end() < len(text) or not any(
            name.startswith(head[1]) or f"default_api.{name}".startswith(head[1]) for name in self._names
        ):
            raise Hopeless
        return False


def _functools(reading: Reading) -> list[Written]:
    return readers.objects(reading._replace(text=reading.text.removeprefix(_FUNCTOOLS[:-1])))


def _is_object(text: str) -> bool:
    """Whether it begins like JSON that can be a call, as far as its first key tells."""
    head = _FIRST_KEY.match(text)
    assert head is not None  # every part of it may be missing
    if head[2] and head[1] in _KEYS:
        return True
    if head[2] or head.end() < len(text) or not any(key.startswith(head[1] or "") for key in _KEYS):
        raise Hopeless
    return False
