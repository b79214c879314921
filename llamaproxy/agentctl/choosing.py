"""Which of the models that were found shall answer: asked at a terminal, or told by flags."""

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from ..config import Home, JsonFile
from ..config.load import load_entry
from .command import Refused
from .finding import Found
from .printer import Printer
from .registry import entries_in

_MOST_SHOWN = 40
SMALL = "the small model that comes along"

Use = Callable[[Sequence[Found]], None]


def choose(home: Home, choices: list[Found], args: Namespace, printer: Printer, again: bool) -> None:
    """Has the chosen ones used, of which the first answers new sessions. Raises `Refused` if it does not.

    `again` says that the question was answered before: then what it was answered with is the suggestion.
    """
    if args.model:
        if list(args.model) != ["none"]:
            _use(home, [_named(name, choices) for name in args.model], printer)
        return
    if not choices:
        printer.note(f"none found; {SMALL} will answer, until agentctl setup finds another")
        return
    shown = choices[:_MOST_SHOWN]
    for number, each in enumerate(shown, 1):
        printer.line(f"  {number:2}  {each.model_id}  ({each.place.name})")
    if len(shown) < len(choices):
        printer.line(f"      and {len(choices) - len(shown)} more; type a name")
    printer.line(f"   0  {SMALL}")
    suggested = _suggested(home, choices) if again else 1
    if args.yes:
        _use(home, choices[suggested - 1 : suggested] if suggested else [], printer)
        return
    while True:
        answer = printer.ask("Which one shall answer? (1 3 adds both)", str(suggested))
        picked = _picked(answer, choices, len(shown))
        if picked is None:
            printer.note(f"numbers from 0 to {len(shown)}, or names")
            continue
        try:
            _use(home, picked, printer)
        except Refused as refusal:
            # Whoever is asked can choose another one.
            printer.refused(str(refusal))
            continue
        return


def _named(name: str, choices: list[Found]) -> Found:
    for each in choices:
        if name in (each.model_id, key_of(each)):
            return each
    names = ", ".join(each.model_id for each in choices) or "none"
    raise Refused(f"no model {name} was found; there is {names}")


def _picked(answer: str, choices: list[Found], most: int) -> list[Found] | None:
    """The chosen ones in their order, none of them for 0; None for what is no choice."""
    words = [word for word in re.split(r"[,\s]+", answer) if word]
    if words == ["0"]:
        return []
    picked: list[Found] = []
    for word in words:
        if word.isascii() and word.isdecimal() and 1 <= int(word[:9]) <= most:
            picked.append(choices[int(word) - 1])
            continue
        try:
            picked.append(_named(word, choices))
        except Refused:
            return None
    return list(dict.fromkeys(picked)) or None


def _suggested(home: Home, choices: list[Found]) -> int:
    """The number of the one that answers now; 0 for one that was not found."""
    content = JsonFile(home.models_file).read()
    entry = entries_in(content, home).get(str(content.get("default_model")), {})
    for number, each in enumerate(choices, 1):
        if all(entry.get(name) == value for name, value in _same(each).items()):
            return number
    return 0


def _same(one: Found) -> dict[str, Any]:
    """By what an entry is known to be this very model."""
    return {"type": one.place.type, "model_id": one.model_id, "host": one.place.host}


def key_of(one: Found) -> str:
    """Its key in the registry: its name without what a key cannot hold."""
    return re.sub(r"[^\w.:-]+", "-", one.model_id.rpartition("/")[2]) or "model"


def _free_key(one: Found, entries: dict[str, Any]) -> str:
    """Its key, or one like it where another model has that."""
    key, number = key_of(one), 1
    wanted = key
    while isinstance(found := entries.get(wanted), dict) and any(
        found.get(name) != value for name, value in _same(one).items()
    ):
        number += 1
        wanted = f"{key}-{number}"
    return wanted


def _use(home: Home, chosen: Sequence[Found], printer: Printer) -> None:
    """Adds them; the first one is tried, and has to answer. Of none, the small model is the one that answers."""
    if chosen:
        _try(home, chosen[0], printer)
    with JsonFile(home.models_file).update() as content:
        entries = entries_in(content, home)
        keys = []
        for one in chosen:
            given = {**_same(one), "enabled": True}
            if one.place.env_key:
                given["env_key"] = one.place.env_key
            key = _free_key(one, entries)
            entries[key] = {**entries.get(key, {}), **given}
            keys.append(key)
        keys += [key for key, entry in entries.items() if _is_small(entry)] if not chosen else []
        if keys:
            content["default_model"] = keys[0]
    if keys:
        printer.done(f"default model: {keys[0]}")
    if others := keys[1:] if chosen else []:
        printer.done(f"also added: {', '.join(others)}; in a chat, !model NAME changes to one")


def _is_small(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("type") == "LOCAL" and entry.get("enabled", True) is True


def _try(home: Home, one: Found, printer: Printer) -> None:
    """Has it answer a question. Raises `Refused` if it does not."""
    from .trial import FATAL
    from .tryout import tried

    given = {**_same(one), "enabled": True, **({"env_key": one.place.env_key} if one.place.env_key else {})}
    entry = load_entry(home.models_file, key_of(one), given)
    printer.line(f"asking {one.model_id}, which may take a moment to load")
    for check in tried(home, entry):
        if check.what in FATAL and check.holds is False:
            raise Refused(f"{one.model_id} does not answer ({check.told}); nothing was changed")
        if check.what == "answers":
            printer.done(f"{one.model_id} answers: {check.told}")
        if check.what == "speed":
            printer.line(f"  {check.told}")
            break
