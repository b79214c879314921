"""How an answer begins, whatever an app made of it: how one that was given is known again where it is shown."""

import re
from collections.abc import Iterator
from itertools import islice

# Letters and digits that count.
LENGTH = 64
# Characters of a stretch of text in which they are looked for.
REACH = 4096

# Apps put the model's thoughts and its calls of tools in front of an answer, or leave them out.
_FOLDED = re.compile(r"<(think|thinking|thought|reasoning|details)\b[^<>]*>", re.IGNORECASE)
_ENDS = {
    name: re.compile(f"</{name}>", re.IGNORECASE)
    for name in ("think", "thinking", "thought", "reasoning", "details")
}


def opening_of(text: str) -> str:
    """The first letters and digits outside what apps fold away; of a text without any, its other characters."""
    found = ""
    for stretch in _stretches(text):
        # The rest of a long answer is not looked at: an app shows dozens of them with each message.
        found += "".join(islice(filter(str.isalnum, stretch), LENGTH))
        if len(found) >= LENGTH:
            break
    return (found.casefold() or "".join("".join(_stretches(text)).split()))[:LENGTH]


def agree(given: str, shown: str) -> bool:
    """Whether both openings are of the same answer, of which an app may have got, or kept, less."""
    return bool(given and shown) and (given.startswith(shown) or shown.startswith(given))


def _stretches(text: str) -> Iterator[str]:
    """The beginnings of what stands outside folded blocks; a block without an end is text."""
    start = 0
    for _ in range(LENGTH + 1):
        block = _FOLDED.search(text, start)
        end = block and _ENDS[block[1].lower()].search(text, block.end())
        if block is None or end is None:
            yield text[start : start + REACH]
            break
        yield text[start : min(block.start(), start + REACH)]
        start = end.end()
