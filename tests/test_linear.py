"""No pattern takes longer than its text is long: each is fed its worst inputs, and the steps are counted."""

import ast
import contextlib
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from msgspec import json
from twisted.internet.address import IPv4Address
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest

import llamaproxy
from llamaproxy.agent.commands.script import TooManyCommands, read
from llamaproxy.dialects import openai
from llamaproxy.models.upstream.sse import LineSplitter
from llamaproxy.seams.errors import BadRequest
from llamaproxy.web.guard import Guard
from tests.backtracking import Matcher, TooManySteps, bounds, samples

# Characters of an input, and how often that is made longer.
SIZE, FACTOR = 60, 4
# The longest repeat with a bound: it may be gone through at each place of a text.
LONGEST = 400
# Steps for a character: up to the first there is no question, and beyond the second no doubt.
FEW, MANY = 10, 400
# By how much more than the factor the steps may grow.
SLACK = 1.5

# Of patterns in tables nothing shows how they are asked: in any way, if it is not said here.
IN_TABLES = {"llamaproxy.tools.sql.powers._TABLES": {"fullmatch"}}

_SEARCHING = {"search", "finditer", "findall", "sub", "subn", "split", "scanner"}


class Use(NamedTuple):
    """A pattern and how it is asked: from the beginning only, and to the end."""

    where: str
    pattern: str | bytes
    flags: int
    anchored: bool
    whole: bool


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(llamaproxy.__path__, "llamaproxy."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def patterns_in(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """The patterns in a value, its items and, for our own classes, its attributes; with what they are called."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, re.Pattern):
        yield name, value
    elif isinstance(value, Mapping):
        for item in value.items():
            yield from patterns_in(item, name, seen)
    elif isinstance(value, tuple | list | set | frozenset):
        for field, item in zip(getattr(value, "_fields", [name] * len(value)), value, strict=True):
            yield from patterns_in(item, field, seen)
    elif isinstance(value, type) and _is_ours(value):
        for field, item in list(vars(value).items()):
            yield from patterns_in(item, field, seen)
    elif _is_ours(type(value)):
        for field in getattr(value, "__struct_fields__", None) or list(getattr(value, "__dict__", {})):
            yield from patterns_in(getattr(value, field, None), field, seen)


def _is_ours(kind: type) -> bool:
    # That of zope's own classes is no text.
    return str(kind.__module__).startswith("llamaproxy")


def ways(source: str) -> tuple[dict[str, set[str]], list[tuple[str, Any]]]:
    """How each name is asked in a module, and the patterns that are written where they are used."""
    asked: dict[str, set[str]] = {}
    inline: list[tuple[str, Any]] = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        name = (
            owner.id
            if isinstance(owner, ast.Name)
            else owner.attr
            if isinstance(owner, ast.Attribute)
            else ""
        )
        method = node.func.attr
        if name == "re" and node.args and isinstance(node.args[0], ast.Constant):
            inline.append((method, node.args[0].value))
        else:
            asked.setdefault(name, set()).add(method)
    return asked, inline


def uses() -> Iterator[Use]:
    asked: dict[str, set[str]] = {}
    every = list(modules())
    for module in every:
        own, inline = ways(Path(str(module.__file__)).read_text("utf-8"))
        for name, methods in own.items():
            asked.setdefault(name, set()).update(methods)
        for method, pattern in inline:
            if method in _SEARCHING | {"match", "fullmatch"}:
                yield Use(module.__name__, pattern, 0, method not in _SEARCHING, method == "fullmatch")
    seen: set[tuple[Any, ...]] = set()
    for module in every:
        for variable, value in list(vars(module).items()):
            for name, pattern in patterns_in(value, variable, set()):
                where = f"{module.__name__}.{variable}"
                methods = IN_TABLES.get(where) or asked.get(name, set()) & (
                    _SEARCHING | {"match", "fullmatch"}
                )
                anchored = bool(methods) and not methods & _SEARCHING
                whole = methods == {"fullmatch"}
                use = Use(where, pattern.pattern, pattern.flags, anchored, whole)
                if use[1:] not in seen:
                    seen.add(use[1:])
                    yield use


def inputs(use: Use) -> Iterator[str]:
    """What is repeated, and what it stands between: a beginning that lets a repeat begin, an end that breaks it."""
    parts = sorted(samples(use.pattern, use.flags), key=lambda text: (len(text), text))
    whole = parts[-1] if parts else ""
    pumps = [*dict.fromkeys([*parts[-9:], *parts[:6], " "])]
    beginnings = dict.fromkeys(["", whole[: len(whole) // 2], whole[:-1]])
    for pump in pumps:
        for beginning in beginnings:
            yield f"{beginning}\x01{pump}\x01\x00"
    for first, second in pairwise(pumps):
        yield f"\x01{first}\x01\x02{second}\x02"


def grown(shape: str, factor: int) -> str:
    """The input of that shape, so many times its shortest: what stands between two marks is repeated."""
    beginning, pump, end = shape.split("\x01")
    text = beginning + pump * (factor * -(-SIZE // len(pump)))
    _, second, _ = end.split("\x02") if "\x02" in end else ("", "", end)
    return text + second * (factor * -(-SIZE // len(second))) if second else text + end


def steps(use: Use, text: str, most: int) -> int:
    matcher = Matcher(use.pattern, use.flags, most)
    try:
        matcher.run(text, use.anchored, use.whole)
    except TooManySteps:
        return most + 1
    return matcher.steps


def complaint(use: Use) -> str | None:
    """An input at which the steps grow faster than the text, or None."""
    repeats = bounds(use.pattern, use.flags)
    if any(bound is not None and bound > LONGEST for bound in repeats):
        return f"{use.where}: {use.pattern!r} has a repeat that is longer than {LONGEST}"
    if None not in repeats:
        return None
    for shape in inputs(use):
        long = grown(shape, FACTOR)
        most = MANY * len(long)
        if (at_length := steps(use, long, most)) <= FEW * len(long):
            continue
        short = steps(use, grown(shape, 1), most)
        if at_length > SLACK * FACTOR * short or at_length > most:
            return f"{use.where}: {use.pattern!r} takes {short} and then {at_length} steps for {shape!r}"
    return None


class PatternTests(SynchronousTestCase):
    def test_every_pattern_is_linear_in_its_text(self) -> None:
        complaints = [found for use in uses() if (found := complaint(use))]
        self.assertEqual(complaints, [])

    def test_what_is_not_is_found(self) -> None:
        for pattern in (
            r"(?s)```\n(.*)\n```",
            r"(a+)+$",
            r"\s+$",
            r"(?:x|xx)*y",
            r"<(.*?)>",
            r"a.*b.*c",
            r"^\s*\n\s*x",
            r"(?s)<think>.*</think>",
        ):
            self.assertIsNotNone(complaint(Use("here", pattern, 0, False, False)), pattern)
        self.assertIsNotNone(complaint(Use("here", r"(\w+\s?)*", 0, True, True)))

    def test_what_is_linear_is_not(self) -> None:
        for pattern in (r"[^x]+", r"\{[a-z]{1,20}", r"(?m)^!(\w+)", r"[ab]+c?", r"\\(.)", r"<[^<>]{0,40}>"):
            self.assertIsNone(complaint(Use("here", pattern, 0, False, False)), pattern)

    def test_steps_are_those_of_the_matcher(self) -> None:
        """The walk finds what Python's own finds."""
        for pattern, text in (
            (r"(a|b)+c", "abac ab c"),
            (r"(?i)x{2,3}y?", "XxxxY xx"),
            (r"(?<!a)b(?=c)|\bd\b", "ab bc d bd"),
            (r"(\w)\1", "aabbcd"),
            (r"[^\d\s]+?-", "a-1 bb-c"),
        ):
            matcher = Matcher(pattern, 0, 100_000)
            matcher.run(text, False, False)
            ends = []
            matcher = Matcher(pattern, 0, 100_000)
            matcher._text = text
            at = 0
            while at <= len(text):
                end = matcher._sequence(matcher._tree, 0, at, lambda reached: reached)
                if end is not None:
                    ends.append((at, end))
                at = at + 1 if end is None or end == at else end
            self.assertEqual(ends, [found.span() for found in re.finditer(pattern, text)], pattern)


def weighed(work: Callable[[str], object], text: str) -> int:
    """How many instructions of ours the work takes."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if "llamaproxy" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work(text)
    finally:
        sys.settrace(before)
    return count


def _commands(text: str) -> None:
    with contextlib.suppress(TooManyCommands):
        read(text, lambda name: True)


def _chat(text: str) -> None:
    with contextlib.suppress(BadRequest):
        openai.parse_chat(json.encode({"messages": [{"role": "user", "content": text}]}))


def _history(text: str) -> None:
    old = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    openai.parse_chat(json.encode({"messages": [*old, {"role": "user", "content": "x"}]}))


def _lines(text: str) -> None:
    splitter = LineSplitter()
    for start in range(0, len(text), 7):
        splitter.received(text[start : start + 7].encode())


def _forwarded(text: str) -> None:
    request = DummyRequest([])
    request.client = IPv4Address("TCP", "127.0.0.1", 1)
    request.requestHeaders.setRawHeaders(b"forwarded", [text.encode("utf-8", "replace")])
    Guard(trusted_proxies=["127.0.0.1"]).caller(request)  # type: ignore[arg-type]


SCANNERS = (_commands, _chat, _history, _lines, _forwarded)
PUMPS = (
    "!a\n",
    "x```\n",
    "<system-reminder>",
    "<context>",
    "</context>",
    "### Task:\n",
    "<chat_history>USER: x\n",
    "for=1.2.3.4,",
    'for="\\',
    "\n",
    " ",
    "<think>",
    "\\ud83d",
    "[{",
)


class ScannerTests(SynchronousTestCase):
    """What reads by hand, and not by a pattern."""

    def test_every_scanner_is_linear_in_its_text(self) -> None:
        for work in SCANNERS:
            for pump in PUMPS:
                short, long = (weighed(work, pump * (factor * 400)) for factor in (1, FACTOR))
                self.assertLessEqual(long, SLACK * FACTOR * short + 2000, (work.__name__, pump))
