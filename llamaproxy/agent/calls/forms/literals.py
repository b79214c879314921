"""Values as models write them: JSON, what is nearly JSON, and Python's literals and calls. Read in one pass.

Nearly JSON has other quotes, keys without any, a comma too many, or an end too early. The last is allowed only where
it is known that nothing is missing but brackets.
"""

import re
from collections.abc import Iterator
from json import JSONDecoder
from typing import Any, NamedTuple

from ....seams.surrogates import joined

# Nobody nests arguments deeper.
DEEPEST = 64

_SPACE = re.compile(r"\s*")
_STRING = re.compile(
    r'"""((?:[^"\\]|\\.|"(?!""))*)"""'
    r"|'''((?:[^'\\]|\\.|'(?!''))*)'''"
    r'|"([^"\\]*(?:\\.[^"\\]*)*)"'
    r"|'([^'\\]*(?:\\.[^'\\]*)*)'",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d][\w.-]*")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_json = JSONDecoder(strict=False)


class Call(NamedTuple):
    """A call as Python writes it, with nothing but keywords."""

    name: str
    arguments: dict[str, Any]


def values(text: str, kind: bool = False, whole: bool = True) -> Iterator[Any]:
    """The values that stand one after another in a text and are all of it. Raises `ValueError`.

    `kind` takes what is only nearly JSON; then, with `whole`, brackets may be missing at the end.
    """
    place = _between(text, 0, kind)
    while place < len(text):
        value, place = value_at(text, place, kind, whole)
        yield value
        place = _between(text, place, kind)


def value_at(text: str, place: int, kind: bool = False, whole: bool = True) -> tuple[Any, int]:
    """The value that begins at a place, and where it ends. Raises `ValueError`."""
    try:
        return _json.raw_decode(text, place)
    except ValueError:
        if not kind and text[place] in "{":
            raise
    reader = _Reader(text, place, mends=kind and whole)
    return reader.value(), reader.place


def _between(text: str, place: int, kind: bool) -> int:
    separators = " \t\r\n,;}])" if kind else " \t\r\n,;"
    while place < len(text) and text[place] in separators:
        place += 1
    return place


class _Reader:
    def __init__(self, text: str, place: int, mends: bool) -> None:
        self.place = place
        self._text = text
        self._mends = mends
        self._depth = 0

    def value(self) -> Any:
        sign = self._next()
        if sign == "{":
            return self._object()
        if sign in ("[", "("):
            return self._list("]" if sign == "[" else ")")
        if sign and sign in "\"'":
            return self._string()
        if found := _NUMBER.match(self._text, self.place):
            self.place = found.end()
            number = found[0]
            return int(number) if number.lstrip("+-").isdigit() else float(number)
        word = self._word()
        if word in _WORDS:
            return _WORDS[word]
        if self._next() != "(":
            raise ValueError(f"no value at {self.place}")
        return self._call(word)

    def _next(self) -> str:
        """The next sign that is no space, "" at the end."""
        found = _SPACE.match(self._text, self.place)
        assert found is not None  # it takes nothing, too
        self.place = found.end()
        return self._text[self.place : self.place + 1]

    def _goes_on(self, closer: str, first: bool) -> bool:
        """Whether another item follows; steps over the comma before it, or over the closer."""
        sign = self._next()
        if sign == "," and not first:
            self.place += 1
            sign = self._next()
        elif sign and sign not in "}])" and not first:
            raise ValueError(f"no comma at {self.place}")
        if sign == closer:
            self.place += 1
            return False
        if sign in ("}", "]", ")", ""):  # the closer is missing, before another one or the end
            if not self._mends:
                raise ValueError(f"no {closer} at {self.place}")
            return False
        return True

    def _deeper(self) -> None:
        self.place += 1
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("too deep")

    def _object(self) -> dict[str, Any]:
        self._deeper()
        found: dict[str, Any] = {}
        while self._goes_on("}", not found):
            key = self._string() if self._next() in "\"'" else self._word()
            if self._next() != ":":
                raise ValueError(f"no value for {key}")
            self.place += 1
            found[key] = self.value()
        self._depth -= 1
        return found

    def _list(self, closer: str) -> list[Any]:
        self._deeper()
        found: list[Any] = []
        while self._goes_on(closer, not found):
            found.append(self.value())
        self._depth -= 1
        return found

    def _call(self, name: str) -> Any:
        self._deeper()
        arguments: dict[str, Any] = {}
        while self._goes_on(")", not arguments):
            begin = self.place
            word = _WORD.match(self._text, begin)
            self.place = word.end() if word else begin
            if word and self._next() == "=":
                self.place += 1
                arguments[word[0]] = self.value()
                continue
            # `print(call)`, and all arguments as one object.
            self.place = begin
            only = self.value()
            if arguments or self._goes_on(")", False) or not isinstance(only, Call | dict):
                raise ValueError(f"{name} has arguments without names")
            self._depth -= 1
            if isinstance(only, Call):
                return only
            return Call(name, only)
        self._depth -= 1
        return Call(name.removesuffix(".call"), arguments)

    def _string(self) -> str:
        found = _STRING.match(self._text, self.place)
        if found is None:
            raise ValueError("a text without an end")
        self.place = found.end()
        return joined(_ESCAPE.sub(_unescaped, found[found.lastindex or 0]))

    def _word(self) -> str:
        found = _WORD.match(self._text, self.place)
        if found is None:
            raise ValueError(f"no value at {self.place}")
        self.place = found.end()
        return found[0]


def _unescaped(escape: re.Match[str]) -> str:
    code = escape[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code in "\\\"'/":
        return code
    return _SHORT.get(code, escape[0])
