"""Parts the calls in a model's text from the rest of it, while it comes in pieces.

Text is held back only while it can still become a call; what turns out to be none is passed on whole. No call is what
a model thinks, or quotes: in a fenced block or between backticks, in a quotation or the cell
of a table, behind a quotation mark. Where the text was cut into pieces makes no difference, and every sign is looked
at a fixed number of times.
"""

import re
from collections.abc import Collection

from .forms.blocks import Block, Hopeless
from .forms.readers import Reading, Written
from .forms.table import ENDS_OF_THOUGHTS, THOUGHTS, Form, Zone, by_opener
from .forms.unmarked import ACTION, CALL_LANGUAGES, FENCE, Unmarked

# How much of the text before a mark is looked at.
MEMORY = 12

# Work on pieces no longer than this, so that stepping from mark to mark copies little.
_PIECE = 1024
_MARKS: dict[str, Form | Zone | None] = {**dict.fromkeys(ENDS_OF_THOUGHTS), **by_opener()}
_BEGINNINGS = frozenset(mark[:length] for mark in _MARKS for length in range(1, len(mark)))
# Where anything of interest can begin.
find_sign = re.compile(r"[<\[`~>]").search
# Longer runs count as several.
_LONGEST_RUN = 32
_RUN = re.compile(rf"`{{1,{_LONGEST_RUN}}}|~{{1,{_LONGEST_RUN}}}")
_LINE_BEGINS = re.compile(r"(?:^|\n) {0,3}$")
_INDENTED = re.compile(r"(?:^|\n)(?: {4}| *\t)[ \t]*$")
# Behind the bar between the cells of a table.
_IN_TABLE = re.compile(r"\|[ \t]*$")
_QUOTATION_MARKS = "\"'\u201c\u201e\u201d\u2018\u201a\u2019\u00ab\u2039"


class _Code:
    """Code between backticks: it ends with as many of them, and if it is in a line, with that."""

    def __init__(self, run: str) -> None:
        self.sign = run[0]
        self.length = len(run)
        self.in_line = len(run) < len(FENCE)


class _Held:
    """A block that is being held back, with its opener."""

    def __init__(self, form: Form, opener: str) -> None:
        self.form = form
        self.opener = opener
        self.block = Block(form)


class Sieve:
    """One answer. `names` are those of the tools on offer; `found` are the calls so far.

    At most `limit` characters are held back.
    """

    def __init__(self, names: Collection[str], limit: int) -> None:
        self.found: list[Written] = []
        self._names = names
        self._limit = limit
        # Of each find, as it was written.
        self._raw: list[str] = []
        # The last of what was passed on.
        self._before = ""
        # What may be the beginning of a mark.
        self._pending = ""
        # What may be a call, and what looks at it.
        self._pieces: list[str] = []
        self._length = 0
        self._held: _Held | None = None
        self._guess: Unmarked | None = None
        # Where nothing is a call, up to its end.
        self._zone: Zone | _Code | None = None
        self._quotation = False
        # Nothing but white space, thoughts and calls has come so far.
        self._fresh = True
        # How much has been decided on, and up to where blocks have been looked at in vain: none is guessed at again.
        self._decided = 0
        self._guessed = 0

    @property
    def idle(self) -> bool:
        """Whether text without any of the signs would just pass."""
        return not (
            self._fresh
            or self._pending
            or self._pieces
            or self._quotation
            or (type(self._zone) is _Code and self._zone.in_line)
        )

    def saw(self, text: str) -> None:
        """Text has been passed on that was not taken, the last of it."""
        self._before = (self._before + text)[-MEMORY:]

    def take(self, text: str) -> str:
        """Takes a piece of text; gives what may be passed on."""
        out: list[str] = []
        self._take(text, out)
        return "".join(out)

    def end(self, cut: bool) -> str:
        """There is no more: gives what is still held back and is no call.

        `cut` says that the model would have said more.
        """
        out: list[str] = []
        while self._pieces:
            if self._guess is not None:
                guess, text = self._guess, self._released()
                try:
                    self._keep(guess.calls(not cut), text)
                except (ValueError, RecursionError, OverflowError):
                    self._retry(text, len(text), out)
            elif self._held is not None:
                held, text = self._held, self._released()
                length = len(held.opener) + held.block.length()
                self._settle(held, text[:length], not (cut or held.block.broken), out)
                self._take(text[length:], out)
        out.append(self._pending)
        self._pending = ""
        return "".join(out)

    def give_back(self) -> str:
        """Takes every find back: gives them as text, with what is still held back."""
        text = "".join([*self._raw, *self._pieces, self._pending])
        self.found, self._raw, self._pending = [], [], ""
        self._released()
        self._fresh = False
        return text

    # -- the text under way

    def _take(self, text: str, out: list[str]) -> None:
        for begin in range(0, len(text), _PIECE):
            rest = self._pending + text[begin : begin + _PIECE]
            self._pending = ""
            while rest:
                rest = self._work(rest, out)

    def _work(self, text: str, out: list[str]) -> str:
        """Takes the next step; gives what is left to do."""
        if self._guess is not None:
            return self._go_on_guessing(self._guess, text, out)
        if self._held is not None:
            return self._go_on_holding(self._held, text, out)
        if self._quotation:
            end = text.find("\n") + 1
            self._quotation = not end
            return self._pass(text, end or len(text), out)
        match self._zone:
            case None:
                return self._begin(text, out) if self._fresh else self._search(text, out)
            case Zone() as zone:
                return self._pass_zone(zone, text, out)
            case code:
                return self._pass_code(code, text, out)

    def _pass(self, text: str, length: int, out: list[str], thought: bool = False) -> str:
        """Lets so much of the text go; gives the rest."""
        passed = text[:length]
        out.append(passed)
        self._decided += length
        self._before = (self._before + passed)[-MEMORY:]
        if self._fresh and not thought and passed and not passed.isspace():
            self._fresh = False
        return text[length:]

    def _wait(self, text: str, place: int, out: list[str], thought: bool = False) -> str:
        """Lets go of what stands before the place; what stands there may become a mark."""
        self._pending = self._pass(text, place, out, thought)
        return ""

    def _begin(self, text: str, out: list[str]) -> str:
        """The first signs of an answer: it may be nothing but a call."""
        space = len(text) - len(text.lstrip())
        if space:
            return self._pass(text, space, out)
        mark, open_end = _mark(text, 0)
        if mark or open_end or text[0] == "~":
            return self._search(text, out)
        if text[0] in "{[`>_" or text[0].isalnum():
            fenced = text[0] == "`" or ACTION.startswith(text[: len(ACTION)])
            self._guess = Unmarked(self._names, fenced)
            return text
        return self._search(text, out)

    def _search(self, text: str, out: list[str]) -> str:
        """Plain text, up to the first mark."""
        place = 0
        while sign := find_sign(text, place):
            place = sign.start()
            match sign[0]:
                case ">":
                    place += 1
                    if _LINE_BEGINS.search((self._before + text[: place - 1])[-MEMORY:]):
                        self._quotation = True
                        return self._pass(text, place, out)
                case "<" | "[":
                    mark, open_end = _mark(text, place)
                    if open_end:
                        return self._wait(text, place, out)
                    if mark and (rest := self._at_mark(mark, text, place, out)) is not None:
                        return rest
                    place += len(mark) or 1
                case _:
                    run = _RUN.match(text, place)
                    assert run is not None  # one sign at least
                    if run.end() == len(text) and len(run[0]) < _LONGEST_RUN:
                        return self._wait(text, place, out)
                    if run[0].startswith(FENCE) and self._decided + place >= self._guessed:
                        rest = self._pass(text, place, out)
                        self._guess = Unmarked(self._names, fenced=True, languages=CALL_LANGUAGES)
                        return rest
                    place = run.end()
                    if run[0][0] == "`" or len(run[0]) >= len(FENCE):
                        self._zone = _Code(run[0])
                        return self._pass(text, place, out)
        return self._pass(text, len(text), out)

    def _at_mark(self, mark: str, text: str, place: int, out: list[str]) -> str | None:
        """What is left to do behind the mark; None if it means nothing."""
        meaning = _MARKS[mark]
        if meaning is None:  # all before it was a thought
            rest = self._pass(text, place, out)
            out += self._raw
            self.found, self._raw, self._fresh = [], [], True
            return self._pass(rest, len(mark), out, thought=True)
        if isinstance(meaning, Zone):
            is_thought = meaning in THOUGHTS
            rest = self._pass(text, place, out)
            self._zone = meaning
            return self._pass(rest, len(mark), out, is_thought)
        before = (self._before + text[max(0, place - MEMORY) : place])[-MEMORY:]
        if before[-1:] in tuple(_QUOTATION_MARKS) or _IN_TABLE.search(before):
            return None
        if _INDENTED.search(before) and not self._is_fresh(text[:place]):
            return None
        rest = self._pass(text, place, out)
        self._held = _Held(meaning, mark)
        self._pieces, self._length = [mark], len(mark)
        # So that it is held even if nothing follows.
        return rest[len(mark) :]

    def _is_fresh(self, text: str) -> bool:
        return self._fresh and (not text or text.isspace())

    # -- where nothing is a call

    def _pass_zone(self, zone: Zone, text: str, out: list[str]) -> str:
        is_thought = zone in THOUGHTS
        end = text.find(zone.closer)
        if end >= 0:
            self._zone = None
            return self._pass(text, end + len(zone.closer), out, is_thought)
        open_end = next((n for n in range(len(zone.closer) - 1, 0, -1) if text.endswith(zone.closer[:n])), 0)
        return self._wait(text, len(text) - open_end, out, is_thought)

    def _pass_code(self, code: _Code, text: str, out: list[str]) -> str:
        line = text.find("\n") if code.in_line else -1
        place = 0
        while run := _RUN.search(text, place, len(text) if line < 0 else line):
            place = run.end()
            if run[0][0] != code.sign:
                continue
            if place == len(text) and len(run[0]) < _LONGEST_RUN:
                return self._wait(text, run.start(), out)
            ends = len(run[0]) == code.length if code.in_line else len(run[0]) >= code.length
            if ends and (code.in_line or not text[place : place + 1].isalpha()):
                self._zone = None
                return self._pass(text, place, out)
        if line >= 0:
            self._zone = None
            return self._pass(text, line + 1, out)
        return self._pass(text, len(text), out)

    # -- what may be a call

    def _go_on_guessing(self, guess: Unmarked, text: str, out: list[str]) -> str:
        self._pieces.append(text)
        self._length += len(text)
        try:
            guess.feed(text)
        except Hopeless:
            self._retry(self._released(), guess.looked_at, out)
        else:
            if self._length >= self._limit:
                self._retry(self._released(), self._limit, out)
        return ""

    def _retry(self, text: str, looked_at: int, out: list[str]) -> None:
        """A guess was wrong: the text may still hold marks."""
        self._fresh = False
        self._guessed = self._decided + looked_at
        self._take(text, out)

    def _go_on_holding(self, held: _Held, text: str, out: list[str]) -> str:
        self._pieces.append(text)
        self._length += len(text)
        try:
            end = held.block.feed(text)
        except Hopeless:
            return self._pass(self._released(), len(held.opener), out)
        length = len(held.opener) + (end or 0)
        if max(length, 0 if end else self._length) >= self._limit:
            return self._pass(self._released(), self._limit, out)
        if end is None:
            return ""
        text = self._released()
        self._settle(held, text[:length], True, out)
        self._take(text[length:], out)
        return ""

    def _released(self) -> str:
        """What was held back, which is now somebody else's."""
        text = "".join(self._pieces)
        self._pieces, self._length = [], 0
        self._held = self._guess = None
        return text

    def _settle(self, held: _Held, text: str, whole: bool, out: list[str]) -> None:
        """A block is complete: takes the calls in it, or lets it go as text."""
        form = held.form
        body = text
        if not form.entire:
            body = text[len(held.opener) :]
            body = next((body.removesuffix(mark) for mark in form.closers if body.endswith(mark)), body)
        try:
            calls = form.read(Reading(body, self._names, whole))
            if not calls or (form.weak and any(call.name not in self._names for call in calls)):
                raise ValueError("no call of a tool that there is")
        except (ValueError, RecursionError, OverflowError):
            self._pass(text, len(text), out)
        else:
            self._keep(calls, text)

    def _keep(self, calls: list[Written], text: str) -> None:
        self.found += calls
        self._raw.append(text)
        self._decided += len(text)


def _mark(text: str, place: int) -> tuple[str, bool]:
    """The mark that stands there, "" for none, and whether the text ends before one can tell."""
    found = ""
    end = place + 1
    while end <= len(text):
        begun = text[place:end]
        if begun in _MARKS:
            found = begun
        if begun not in _BEGINNINGS:
            return found, False
        end += 1
    return found, True
