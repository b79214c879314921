"""Counts the steps that a backtracking matcher takes, as Python's does: the time of a pattern without a clock.

The pattern's parsed form is walked as the engine walks it: greedy repeats take all and give back, alternatives are
tried in order, a search begins anew at each position. A step is one look at a character or an alternative.
"""

import sys
from collections.abc import Callable, Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

Then = Callable[[int], int | None]
_FOLDED = parser.SRE_FLAG_IGNORECASE
_DEEP = 50_000
# A repeat with a bound is as long as this at most: its length is a factor, and no growth.
SHORT = 6


class TooManySteps(Exception):
    """More than the caller wants to wait for."""


class Matcher:
    """One pattern; `steps` counts since it was made."""

    def __init__(self, pattern: str | bytes, flags: int, most: int) -> None:
        text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
        self._tree = parser.parse(
            text, flags & ~parser.SRE_FLAG_UNICODE if isinstance(pattern, bytes) else flags
        )
        self._flags = self._tree.state.flags
        self._most = most
        self.steps = 0
        self._text = ""
        self._groups: dict[int, str] = {}

    def run(self, text: str, anchored: bool, whole: bool) -> None:
        """Finds all matches: one behind the other if `anchored`, each to the end of the text if `whole`."""
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(_DEEP)
        try:
            self._run(text, anchored, whole)
        finally:
            sys.setrecursionlimit(before)

    def _run(self, text: str, anchored: bool, whole: bool) -> None:
        self._text = text
        at = 0
        while at <= len(text):
            self._groups = {}
            end = self._sequence(self._tree, 0, at, self._end if whole else _taken)
            if anchored and (end is None or end == at):
                return
            at = at + 1 if end is None or end == at else end

    def _end(self, at: int) -> int | None:
        return at if at == len(self._text) else None

    def _step(self) -> None:
        self.steps += 1
        if self.steps > self._most:
            raise TooManySteps

    def _sequence(self, nodes: Any, index: int, at: int, then: Then) -> int | None:
        if index == len(nodes):
            return then(at)
        op, arguments = nodes[index]
        return self._node(op, arguments, at, lambda reached: self._sequence(nodes, index + 1, reached, then))

    def _node(self, op: Any, arguments: Any, at: int, then: Then) -> int | None:
        self._step()
        if op in _SINGLE:
            return then(at + 1) if self._one(op, arguments, at) else None
        if op is sre.BRANCH:
            return self._branch(arguments[1], at, then)
        if op is sre.SUBPATTERN:
            return self._group(arguments, at, then)
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            return self._repeat(op, arguments, at, then)
        if op is sre.ATOMIC_GROUP:
            reached = self._sequence(arguments, 0, at, _taken)
            return None if reached is None else then(reached)
        if op is sre.AT:
            return then(at) if self._position(arguments, at) else None
        if op in (sre.ASSERT, sre.ASSERT_NOT):
            return then(at) if self._looks(arguments, at) is (op is sre.ASSERT) else None
        assert op is sre.GROUPREF, op
        known = self._groups.get(arguments, "")
        return then(at + len(known)) if self._text.startswith(known, at) else None

    def _branch(self, branches: Any, at: int, then: Then) -> int | None:
        for branch in branches:
            self._step()
            if (end := self._sequence(branch, 0, at, then)) is not None:
                return end
        return None

    def _group(self, arguments: Any, at: int, then: Then) -> int | None:
        number, _, _, inner = arguments

        def keep(reached: int) -> int | None:
            if number:
                self._groups[number] = self._text[at:reached]
            return then(reached)

        return self._sequence(inner, 0, at, keep)

    def _repeat(self, op: Any, arguments: Any, at: int, then: Then) -> int | None:
        least, most, body = arguments
        least = min(int(least), SHORT)
        limit = len(self._text) + 1 if most is sre.MAXREPEAT else min(int(most), SHORT)
        if len(body) == 1 and body[0][0] in _SINGLE:
            return self._many(op, least, limit, body[0], at, then)
        if op is sre.POSSESSIVE_REPEAT:
            count = 0
            while count < limit and (reached := self._sequence(body, 0, at, _taken)) not in (None, at):
                at, count = int(reached or at), count + 1
            return then(at) if count >= least else None

        def more(count: int, place: int) -> int | None:
            self._step()

            def again(reached: int) -> int | None:
                return None if reached == place else more(count + 1, reached)

            if count < least:
                return self._sequence(body, 0, place, lambda reached: more(count + 1, reached))
            if op is sre.MIN_REPEAT and (end := then(place)) is not None:
                return end
            if count < limit and (end := self._sequence(body, 0, place, again)) is not None:
                return end
            return None if op is sre.MIN_REPEAT else then(place)

        return more(0, at)

    def _many(self, op: Any, least: int, limit: int, body: Any, at: int, then: Then) -> int | None:
        """A repeat of one character, as the engine has it: without recursion."""
        one, what = body
        if op is sre.MIN_REPEAT:
            for count in range(limit + 1):
                self._step()
                if count >= least and (end := then(at + count)) is not None:
                    return end
                if not self._one(one, what, at + count):
                    return None
            return None
        count = 0
        while count < limit and self._one(one, what, at + count):
            self._step()
            count += 1
        if op is sre.POSSESSIVE_REPEAT:
            return then(at + count) if count >= least else None
        for taken in range(count, least - 1, -1):
            self._step()
            if (end := then(at + taken)) is not None:
                return end
        return None

    def _one(self, op: Any, what: Any, at: int) -> bool:
        if at >= len(self._text):
            return False
        character = self._text[at]
        if op is sre.ANY:
            return character != "\n" or bool(self._flags & parser.SRE_FLAG_DOTALL)
        folds = self._flags & _FOLDED
        return any(
            _fits(op, what, each) for each in ({character.lower(), character.upper()} if folds else character)
        )

    def _position(self, where: Any, at: int) -> bool:
        text, end = self._text, len(self._text)
        lines = self._flags & parser.SRE_FLAG_MULTILINE
        if where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return at == 0 or (bool(lines) and where is sre.AT_BEGINNING and text[at - 1] == "\n")
        if where is sre.AT_END_STRING:
            return at == end
        if where is sre.AT_END:
            return at == end or (text[at] == "\n" and (bool(lines) or at == end - 1))
        before = at > 0 and _is_word(text[at - 1])
        behind = at < end and _is_word(text[at])
        return (before != behind) is (where is sre.AT_BOUNDARY)

    def _looks(self, arguments: Any, at: int) -> bool:
        direction, inner = arguments
        if direction > 0:
            return self._sequence(inner, 0, at, _taken) is not None
        width = inner.getwidth()[0]
        return at >= width and self._sequence(inner, 0, at - width, _taken) is not None


_SINGLE = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)


def _taken(at: int) -> int:
    return at


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _fits(op: Any, what: Any, character: str) -> bool:
    code = ord(character)
    if op is sre.LITERAL:
        return bool(code == what)
    if op is sre.NOT_LITERAL:
        return bool(code != what)
    negated = what[0][0] is sre.NEGATE
    return any(_in_item(item[0], item[1], character) for item in what if item[0] is not sre.NEGATE) != negated


def _in_item(op: Any, what: Any, character: str) -> bool:
    code = ord(character)
    if op is sre.LITERAL:
        return bool(code == what)
    if op is sre.RANGE:
        return bool(what[0] <= code <= what[1])
    known = {
        sre.CATEGORY_DIGIT: character.isdigit(),
        sre.CATEGORY_SPACE: character.isspace(),
        sre.CATEGORY_WORD: _is_word(character),
    }
    if what in known:
        return known[what]
    opposite = {
        sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
        sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
        sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
    }
    return not known[opposite[what]]


_TRIED = [*" \n\t\r", *"ax0Z_-.:,;/\\'\"`!#<>{}[]()=+*@&|", "\u00e9", "\u0100", "\x00"]


def bounds(pattern: str | bytes, flags: int) -> list[int | None]:
    """How often each repeat of the pattern may go on, None for without end."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    return list(
        _bounds(parser.parse(text, flags & ~parser.SRE_FLAG_UNICODE if isinstance(pattern, bytes) else flags))
    )


def _bounds(nodes: Any) -> Iterator[int | None]:
    for op, arguments in nodes:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield None if arguments[1] is sre.MAXREPEAT else int(arguments[1])
            yield from _bounds(arguments[2])
        elif op is sre.BRANCH:
            for branch in arguments[1]:
                yield from _bounds(branch)
        elif op is sre.SUBPATTERN:
            yield from _bounds(arguments[3])
        elif op is sre.ATOMIC_GROUP:
            yield from _bounds(arguments)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            yield from _bounds(arguments[1])


def samples(pattern: str | bytes, flags: int) -> set[str]:
    """Texts that the pattern, its parts and its beginnings match: what its worst inputs are made of."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    found: set[str] = set()
    _write(
        parser.parse(text, flags & ~parser.SRE_FLAG_UNICODE if isinstance(pattern, bytes) else flags), found
    )
    return {each for each in found if each}


def _write(nodes: Any, found: set[str]) -> str:
    """One text that the sequence matches; every part of it goes into `found`."""
    written = ""
    for op, arguments in nodes:
        part = _part(op, arguments, found)
        found.add(part)
        written += part
        found.add(written)
    return written


def _part(op: Any, arguments: Any, found: set[str]) -> str:
    if op is sre.LITERAL:
        return chr(arguments)
    if op in _SINGLE:
        fitting = [each for each in _TRIED if op is sre.ANY or _fits(op, arguments, each)]
        found.update(fitting[:2])
        return next(iter(fitting[-1:] or _others(op, arguments)), "")
    if op is sre.BRANCH:
        return max([_write(branch, found) for branch in arguments[1]], key=len)
    if op is sre.SUBPATTERN:
        return _write(arguments[3], found)
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, _, body = arguments
        return _write(body, found) * max(1, min(int(least), SHORT))
    if op is sre.ATOMIC_GROUP:
        return _write(arguments, found)
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        _write(arguments[1], found)
    return ""


def _others(op: Any, arguments: Any) -> Iterator[str]:
    return (chr(code) for code in range(0x3000) if _fits(op, arguments, chr(code)))
