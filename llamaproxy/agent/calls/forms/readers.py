"""What stands between the marks of a call: an object, tags, a name with an object behind it, a call as in Python.

Every reader raises `ValueError` for what is no call. Each takes time linear in the text: it steps from tag to tag and
never looks for the same end twice.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from json import dumps
from typing import Any, NamedTuple

from .literals import Call, value_at, values


class Reading(NamedTuple):
    """The text of a block, without its marks. `names` are those of the tools on offer.

    `whole` says that nothing can be missing from it but brackets; a text that was cut off is not.
    """

    text: str
    names: Collection[str]
    whole: bool = True


class Written(NamedTuple):
    """A call that was found: `arguments` is JSON text, or what the model wrote in its place."""

    name: str
    arguments: str


Reader = Callable[[Reading], list[Written]]

# Under which keys models put what they call and what they give it.
_NAMES = ("name", "tool", "tool_name", "function_name", "recipient_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input", "kwargs")
_BESIDES = frozenset({*_NAMES, "function", "type", "id", "tool_call_id"})
_LISTS = ("tool_calls", "tool_uses")
# What vendors put before a name, and Kimi's number behind it.
_BEFORE = re.compile(r"(?:functions|default_api|tools|multi_tool_use)\.")
_BEHIND = re.compile(r":\d{1,6}")

# `minimax:`, `steptml:`, `antml:` and DeepSeek's own.
BAR = "\uff5c"
_SPACE_OF_NAMES = rf"(?:\w{{1,20}}:|{BAR}DSML{BAR})?"
_FUNCTION = re.compile(
    rf"""<{_SPACE_OF_NAMES}(?:function|invoke)(?:=|\s{{1,9}}name=)["']?([^"'<>\s]{{1,200}})["']?\s{{0,9}}>"""
)
_FUNCTION_END = re.compile(rf"</{_SPACE_OF_NAMES}(?:function|invoke)>")
_PARAMETER = re.compile(
    rf"""<{_SPACE_OF_NAMES}parameter(?:=|\s{{1,9}}name=)["']?([^"'<>\s]{{1,200}})["']?"""
    r"""(?:\s{1,9}string=["'](true|false)["'])?\s{0,9}>"""
)
_PARAMETER_END = re.compile(rf"</{_SPACE_OF_NAMES}parameter>")
_KEY = re.compile(r"<arg_key>([^<]{1,200})</arg_key>\s*<arg_value>")
_VALUE_END = "</arg_value>"
_NAME = re.compile(r"([\w.:/-]{1,200})\s*")
_MISTRAL = re.compile(r"([\w.:/-]{1,200}+)\s*+(?:\[CALL_ID\]\s*+\w{1,40}\s*+)?(?:\[ARGS\])?\s*+(?=\{)")
_GEMMA = re.compile(r"call:([\w.-]{1,200})\s*(?=\{)")
_SPACE = re.compile(r"[\s,;]*")
_FENCED = re.compile(r"```\w{0,20}\s(.*)```", re.DOTALL)
_FENCE = re.compile(r"(?:```(?:json)?\s*)?")
_GEMMA_QUOTE = re.compile(r'<escape>|<\|"\|>')
_GEMMA_KEY = re.compile(r"([{,]\s*)([^\W\d][\w.-]*)(\s*:)")


def body(reading: Reading) -> list[Written]:
    """Whatever it is."""
    text = reading.text.strip()
    if fence := _FENCED.fullmatch(text):
        text = fence[1].strip()
    if text.startswith("<tool_call>"):
        text = text.replace("<tool_call>", "").replace("</tool_call>", "").strip()
    reading = reading._replace(text=text)
    if text[:1] in ("{", "["):
        return objects(reading)
    if text.startswith("<"):
        return tags(reading)
    if text.startswith("call:"):
        return gemma(reading)
    found = _NAME.match(text)
    if found is None:
        raise ValueError("nothing")
    if text.startswith("(", found.end()):
        return objects(reading)
    if text.startswith("<arg_key>", found.end()):
        return [_written(reading, found[1], _keys_and_values(text, found.end()))]
    if found.end() < len(text):
        return list(_in_a_row(reading, _NAME))
    call = _written(reading, found[1], {})  # GLM, for a tool without arguments
    if call.name not in reading.names:
        raise ValueError("a word")
    return [call]


def objects(reading: Reading) -> list[Written]:
    """JSON, or nearly; or calls as in Python."""
    return list(_flat(reading, values(reading.text, kind=True, whole=reading.whole)))


def strict(reading: Reading) -> list[Written]:
    """The same where no tag says that it must be one: real JSON, or Python, and of tools that there are."""
    found = list(_flat(reading, values(reading.text)))
    if any(call.name not in reading.names for call in found):
        raise ValueError("a tool that nobody knows")
    return found


def named_object(reading: Reading) -> list[Written]:
    """A tool's name on a line, and its arguments below."""
    found = list(_in_a_row(reading, _NAME))
    if any(call.name not in reading.names for call in found):
        raise ValueError("a tool that nobody knows")
    return found


def after(head: str) -> Reader:
    """Objects, each behind a head that has the name in it."""
    pattern = re.compile(head)
    return lambda reading: list(_behind(reading, pattern))


def first_of(*choice: Reader) -> Reader:
    """The first of them that finds something."""

    def read(reading: Reading) -> list[Written]:
        for each in choice[:-1]:
            with suppress(ValueError):
                return each(reading)
        return choice[-1](reading)

    return read


def mistral(reading: Reading) -> list[Written]:
    """A list of objects, or since the later tokenizers names with objects behind them."""
    if reading.text.lstrip()[:1] in ("[", "{"):
        return objects(reading)
    return list(_in_a_row(reading, _MISTRAL))


def gemma(reading: Reading) -> list[Written]:
    """`call:NAME{key:<escape>text<escape>}`."""
    pieces = _GEMMA_QUOTE.split(reading.text)
    for place, piece in enumerate(pieces):
        pieces[place] = dumps(piece) if place % 2 else _GEMMA_KEY.sub(r'\1"\2"\3', piece)
    return list(_in_a_row(reading._replace(text="".join(pieces)), _GEMMA))


def tags(reading: Reading) -> list[Written]:
    """`<function=NAME><parameter=KEY>VALUE</parameter></function>`, and its like with other words."""
    text = reading.text
    # Where parameters end is looked up once, from behind.
    ends = [(end.start(), end.end()) for end in _PARAMETER_END.finditer(text)][::-1]
    found = []
    place = 0
    while begin := _FUNCTION.search(text, place):
        arguments, place = _parameters(reading, begin.end(), ends)
        found.append(_written(reading, begin[1], arguments))
    if not found:
        raise ValueError("no function")
    return found


def _parameters(reading: Reading, place: int, ends: list[tuple[int, int]]) -> tuple[Any, int]:
    """What stands inside of a function, and where that ends."""
    text = reading.text
    found: dict[str, Any] = {}
    place = _skipped(text, place)
    if text.startswith("{", place):
        return value_at(text, place, kind=True, whole=reading.whole)
    while begin := _PARAMETER.match(text, place):
        while ends and ends[-1][0] < begin.end():
            ends.pop()
        if ends:
            stop, place = ends.pop()
        elif end := _FUNCTION_END.search(text, begin.end()):  # the last one has no end of its own
            stop = place = end.start()
        else:
            raise ValueError("a parameter without an end")
        value = text[begin.end() : stop].removeprefix("\n").removesuffix("\n")
        found[begin[1]] = value_at(value.strip(), 0)[0] if begin[2] == "false" else value
        place = _skipped(text, place)
    if _FUNCTION_END.match(text, place) is None and not (
        reading.whole and text[place : place + 1] in ("", "<")
    ):
        raise ValueError("a function without an end")
    return found, place


def _keys_and_values(text: str, place: int) -> dict[str, str]:
    found = {}
    while begin := _KEY.match(text, place):
        end = text.find(_VALUE_END, begin.end())
        if end < 0:
            raise ValueError("a value without an end")
        found[begin[1].strip()] = text[begin.end() : end]
        place = _skipped(text, end + len(_VALUE_END))
    if place < len(text):
        raise ValueError("more than keys and values")
    return found


def _in_a_row(reading: Reading, head: re.Pattern[str]) -> Iterator[Written]:
    """Names, each with an object behind it, and nothing else."""
    text = reading.text
    place = _skipped(text, 0)
    while place < len(text):
        begin = head.match(text, place)
        if begin is None or not text.startswith("{", begin.end()):
            raise ValueError("no name")
        value, place = value_at(text, begin.end(), kind=True, whole=reading.whole)
        yield _written(reading, begin[1], value)
        place = _skipped(text, place)


def _behind(reading: Reading, head: re.Pattern[str]) -> Iterator[Written]:
    """Objects, each behind such a head, whatever else there is."""
    text = reading.text
    place = 0
    while begin := head.search(text, place):
        fence = _FENCE.match(text, begin.end())
        value, place = value_at(text, fence.end() if fence else begin.end(), kind=True, whole=reading.whole)
        yield _written(reading, begin[1], value)
    if not place:
        raise ValueError("no name")


def _skipped(text: str, place: int) -> int:
    space = _SPACE.match(text, place)
    return space.end() if space else place


def _flat(reading: Reading, found: Iterator[Any]) -> Iterator[Written]:
    for value in found:
        if isinstance(value, Call):
            yield _written(reading, *value)
        elif isinstance(value, list):
            yield from _flat(reading, iter(value))
        else:
            yield from _of_object(reading, value)


def _of_object(reading: Reading, value: Any) -> Iterator[Written]:
    """Reads `{"name", "arguments"}` under the names that models give these, also inside a `function`."""
    if not isinstance(value, dict):
        raise ValueError("no object")
    several = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
    if several is not None:
        yield from _flat(reading, iter(several))
        return
    inner = value.get("function", value.get("function_call", value))
    if isinstance(inner, str):
        inner = {**value, "name": inner}
    if not isinstance(inner, dict):
        raise ValueError("no function")
    name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str) and inner[key]), None)
    if name is None:
        yield _only_key(reading, inner)
        return
    given = [inner[key] for key in _ARGUMENTS if key in inner]
    if not given and set(inner) - _BESIDES:
        raise ValueError("a record that happens to have a name")
    yield _written(reading, name, given[0] if given else {})


def _only_key(reading: Reading, value: dict[str, Any]) -> Written:
    """`{"NAME": {arguments}}`."""
    [(name, arguments)] = value.items()
    if name not in reading.names or not isinstance(arguments, dict):
        raise ValueError("no name")
    return _written(reading, name, arguments)


def _written(reading: Reading, name: str, arguments: Any) -> Written:
    text = arguments if isinstance(arguments, str) else dumps({} if arguments is None else arguments)
    return Written(_plain(name, reading.names), text)


def _plain(name: str, names: Collection[str]) -> str:
    """The name of a tool without what a vendor adds to it."""
    name = name.strip()
    if name in names:
        return name
    plain = _BEFORE.sub("", name, count=1)
    plain = _BEHIND.sub("", plain) if plain not in names else plain
    return plain if plain in names else name
