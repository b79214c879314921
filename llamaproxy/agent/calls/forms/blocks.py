"""Where a block ends, while it comes in pieces. What has been looked at is not looked at again.

What is found depends on the text alone, never on where it was cut into pieces.
"""

import re
from collections.abc import Callable, Iterable

from .readers import BAR
from .table import Form

# A block begins like one within this many characters.
_LONGEST_LEAD = 300
_LEAD = re.compile(
    r"""\s*(?:call:|(?:assistant)?commentary to=)?["']?[\w.:/@-]{0,200}["']?>?\s*[a-z]{0,4}\s*"""
)
# What may stand inside of a block before anything else.
_INNER = (
    *(
        "<function",
        "<invoke",
        "<parameter",
        "<arg_key>",
        "<tool_call>",
        f"<{BAR}",
        "<|",
        "<steptml:",
        "<minimax:",
        "<antml:",
    ),
)
_OUTSIDE = re.compile(r"""["'{}\[\]()<]""")
_INSIDE = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]")}
_SPACE = re.compile(r"\s*")


class Hopeless(Exception):
    """The text cannot become a call any more."""


class Block:
    """What comes behind an opener. `end` is set once its length is known, `closed` if a mark of its own says so."""

    def __init__(self, form: Form) -> None:
        self.end: int | None = None
        self.closed = False
        self._form = form
        self._closers = sorted(form.closers, key=len, reverse=True)
        self._closer = re.compile("|".join(map(re.escape, self._closers)) or "(?!)")
        # What has not been decided on, and how much stood before it.
        self._text = ""
        self._before = 0
        self._place = 0
        self._step: Callable[[], bool] = self._lead
        self._depth = 0
        self._quote = ""
        self._python = False
        # Where the last value ended, in the whole block.
        self._done = 0

    def feed(self, piece: str) -> int | None:
        """Takes a piece; the length of the block if it is known now. Raises `Hopeless`."""
        self._text = self._text[self._place :] + piece
        self._before += self._place
        self._place = 0
        while self.end is None and self._step():
            pass
        return self.end

    @property
    def broken(self) -> bool:
        """Whether the text ends inside of a text within it."""
        return bool(self._quote)

    def length(self) -> int:
        """How much of it belongs to the block, now that there is no more."""
        if self.end is not None:
            return self.end
        return self._done or self._before + len(self._text)

    # Each step goes on from `_place`; False waits for more.

    def _lead(self) -> bool:
        begin = _LEAD.match(self._text, self._place)
        place = begin.end() if begin else self._place
        if place - self._place > _LONGEST_LEAD:
            raise Hopeless
        if place == len(self._text):
            return False
        sign = self._text[place]
        for mark in self._form.inner:
            if self._text.startswith(mark, place):
                self._place = place + len(mark)
                return True
        if self._may_go_on(self._form.inner, place):
            return False
        if sign == "`":
            self._place, self._step = place, self._plain
        elif sign in "{[(":
            self._python = sign == "("
            self._place, self._step = place, self._plain if self._form.raw else self._values
        elif any(self._text.startswith(mark, place) for mark in (*_INNER, *self._closers)):
            self._place, self._step = place, self._plain
        elif self._may_go_on((*_INNER, *self._closers), place):
            return False
        else:
            raise Hopeless
        return True

    def _values(self) -> bool:
        """Objects, lists and calls, with texts in them."""
        while True:
            found = (_INSIDE[self._quote] if self._quote else _OUTSIDE).search(self._text, self._place)
            if found is None:
                self._place = len(self._text)
                return False
            sign, place = found[0], found.start()
            if sign == "\\":
                if place + 1 == len(self._text):
                    self._place = place
                    return False
                self._place = place + 2
                continue
            self._place = place + 1
            if self._quote:
                self._quote = ""
            elif sign in "\"'":
                self._quote = sign
            elif sign in "}])":
                self._depth -= 1
                if self._depth <= 0:
                    self._done = self._before + self._place
                    self._step = self._between
                    return True
            elif sign in "<[" and (closed := self._closes(place)) is not None:
                return closed
            elif sign != "<":
                self._depth += 1

    def _between(self) -> bool:
        """Values are complete; there may be more, or a mark."""
        space = _SPACE.match(self._text, self._place)
        self._place = place = space.end() if space else self._place
        if place == len(self._text):
            return False
        if (closed := self._closes(place)) is not None:
            return closed
        sign = self._text[place]
        if self._may_go_on(self._form.openers, place):
            return False
        if sign in ",;":
            self._place += 1
        elif sign in "}])":
            self._place += 1
            self._done = self._before + self._place
        elif any(self._text.startswith(opener, place) for opener in self._form.openers):
            self.end = self._done
        elif sign == "{" or (self._python and self._closers):
            self._step = self._values
        else:
            self.end = self._done
        return True

    def _plain(self) -> bool:
        """Nothing counts but the mark at the end."""
        found = self._closer.search(self._text, self._place)
        if found is not None:
            return self._ended(found.end())
        longest = len(self._closers[0]) if self._closers else 1
        self._place = max(self._place, len(self._text) - longest + 1)
        return False

    def _closes(self, place: int) -> bool | None:
        """Whether a mark stands there that ends the block: as a step's result, None if there is none."""
        found = self._closer.match(self._text, place)
        if found is not None:
            return self._ended(found.end())
        if self._may_go_on(self._closers, place):
            self._place = place
            return False
        return None

    def _ended(self, place: int) -> bool:
        self.closed = True
        self._done = self._before + place
        self._place, self._step = place, self._trailers
        return True

    def _trailers(self) -> bool:
        space = _SPACE.match(self._text, self._place)
        place = space.end() if space else self._place
        for mark in self._form.trailers:
            if self._text.startswith(mark, place):
                self.end = self._before + place + len(mark)
                return True
        if self._form.trailers and (place == len(self._text) or self._may_go_on(self._form.trailers, place)):
            self._place = place
            return False
        self.end = self._done
        return True

    def _may_go_on(self, marks: Iterable[str], place: int) -> bool:
        """Whether the text ends inside of what may be such a mark."""
        rest = self._text[place : place + 64]
        return len(self._text) - place < 64 and any(
            len(mark) > len(rest) and mark.startswith(rest) for mark in marks
        )
