"""How an answer begins, whatever an app made of it: how one that was given is known again where it is shown."""

import re

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
    found, others = "", ""
    for stretch in _stretches(text):
        found += "".join([char for char in stretch if char.isalnum()])
        others += "".join(stretch.split())
        if len(found) >= LENGTH:
            break
    return (found.casefold() or others)[:LENGTH]


def agree(given: str, shown: str) -> bool:
    """Whether both openings are of the same answer, of which an app may have got, or kept, less."""
    return bool(given and shown) and (given.startswith(shown) or shown.startswith(given))


def _stretches(text: str) -> list[str]:
    """The beginnings of what stands outside folded blocks; a block without an end is text."""
    stretches: list[str] = []
    start = 0
    while (block := _FOLDED.search(text, start)) is not None:
        end = _ENDS[block[1].lower()].search(text, block.end())
        if end is None:
            break
        stretches.append(text[start : min(block.start(), start + REACH)])
        start = end.end()
        if len(stretches) > LENGTH:
            return stretches
    return [*stretches, text[start : start + REACH]]
