"""Turns that wait for the user's leave: parked with the session's settings, taken up again by a code.

A parked turn survives a restart. It is over when its time is up; a code that is not its own approves nothing.
"""

import json
from collections.abc import Sequence
from secrets import choice
from typing import Any

import msgspec
from msgspec import Struct, ValidationError
from msgspec.structs import replace

from ...seams.gates import QUESTION, Need
from ...seams.types import ToolCall
from ...seams.visible import visible
from ..calls.gates import Gates
from ..sessions.session import Session
from .exchange import Exchange

SETTING = "parked"
# Seconds for which a question stands.
PATIENCE = 600.0
# And for which an app may take to run its tools, with a person's leave perhaps.
APP_PATIENCE = 3600.0
# Without letters and digits that look alike.
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
# Characters of one argument, and of all of them.
_ARGUMENTS_SHOWN = 300
_ALL_SHOWN = 3000

UNANSWERED = "The user was asked about this call and did not answer. It was not made."
NOT_RUN = "Not run: the user went on with another message before their app had run this."
NO_RESULT = "The user's app sent no result for this call."
WITHDRAWN = "The user was asked about this call and ended the turn instead. It was not made."


class Parked(Struct, frozen=True, kw_only=True):
    """A turn that waits: its exchange stands in the middle of a round. `expires` is in Unix seconds.

    One that waits for results of the app's own tools has no `code`. Of its exchange only the first message is here; the
    others are in the history.
    """

    code: str
    expires: float
    exchange: Exchange
    needs: tuple[Need, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether a tool has asked something that more can be said to than yes or no."""
        return any(need.kind == QUESTION for need in self.needs)


def park(
    session: Session,
    exchange: Exchange,
    waiting: Sequence[tuple[ToolCall, list[Need]]],
    now: float,
    today: float,
) -> str:
    """Parks the turn in the session's settings, which are to be saved then; gives the question to the user.

    `now` is in the clock's seconds, `today` in Unix seconds.
    """
    code = "".join(choice(_ALPHABET) for _ in range(4))
    needs = tuple(need for _, each in waiting for need in each)
    _keep(session, Parked(code=code, expires=today + PATIENCE, exchange=exchange, needs=needs))
    session.question_ends = now + PATIENCE
    lines = [visible(f"{call.name} {_shown(call.arguments)} ({_what(each)})") for call, each in waiting]
    return "\n".join(
        [
            "[This needs your leave:",
            "",
            # Behind four spaces Markdown takes a line as it is.
            *(f"    {line}" for line in lines),
            "",
            f"Send !yes {code} to allow it once, !always {code} for this session, or !no {code}. "
            f"The question stands for {PATIENCE / 60:g} minutes.]",
        ]
    )


def pending_lines(parked: Parked) -> tuple[str, ...]:
    """What wants to run, a line for each call."""
    needs = visible(_what(list(parked.needs)))
    calls = (visible(f"{call.name} {_shown(call.arguments)}") for call in parked.exchange.pending())
    return (*calls, *([needs] if needs else ()))


def hand_over(session: Session, exchange: Exchange, now: float, today: float) -> None:
    """Parks a turn until the app sends the results of its calls; as `park` otherwise."""
    _keep(session, Parked(code="", expires=today + APP_PATIENCE, exchange=exchange))
    session.question_ends = now + APP_PATIENCE


def _keep(session: Session, parked: Parked) -> None:
    exchange = replace(parked.exchange, messages=parked.exchange.messages[:1])
    session.settings[SETTING] = msgspec.to_builtins(replace(parked, exchange=exchange))


def parked_turn(session: Session) -> Parked | None:
    """The turn of this session that waits, perhaps for too long."""
    stored: Any = session.settings.get(SETTING)
    try:
        return None if stored is None else msgspec.convert(stored, Parked)
    except ValidationError:  # written by another version
        return None


def is_open(session: Session, parked: Parked, now: float, today: float) -> bool:
    """Whether its time is not up; `now` and `today` are as in `park`.

    As long as the process lives its own clock counts, which no step of the time of day moves.
    """
    if session.question_ends is None:
        session.question_ends = now + min(PATIENCE if parked.code else APP_PATIENCE, parked.expires - today)
    return now < session.question_ends


def unpark(session: Session) -> None:
    """Forgets the parked turn; the settings are to be saved then."""
    session.question_ends = None
    session.settings.pop(SETTING, None)


def reminder(parked: Parked) -> str:
    """What an ordinary message is answered while a question stands."""
    code = parked.code
    return (
        f"A question is still open. Send !yes {code}, !always {code} or !no {code} first; "
        "your message was not passed on."
    )


def open_for_good(parked: Parked, gates: Gates) -> None:
    """Opens the gates that the parked calls need; for a call that nobody could judge, none but that call itself."""
    for need in parked.needs:
        if need.kind == QUESTION:
            continue
        if need.doubt:
            gates.open_doubt(need.doubt)
        else:
            gates.set(need.kind, need.name, (need.side,), True)


def _what(needs: list[Need]) -> str:
    return (
        ", ".join(need.what for need in needs)
        or "it began before the server stopped, and may be done already"
    )


def _shown(arguments: str) -> str:
    """The arguments on one line: of each its beginning, so that a long one hides no other."""
    try:
        each = json.loads(arguments)
    except (ValueError, RecursionError):
        return _beginning(arguments)
    line = json.dumps(each, ensure_ascii=False)
    if len(line) <= _ARGUMENTS_SHOWN or not isinstance(each, dict):
        return _beginning(line)
    shown = (
        f"{_beginning(name)}: {_beginning(json.dumps(value, ensure_ascii=False))}"
        for name, value in each.items()
    )
    return _beginning(", ".join(shown), _ALL_SHOWN)


def _beginning(text: str, length: int = _ARGUMENTS_SHOWN) -> str:
    return text if len(text) <= length else f"{text[:length]}... [{len(text) - length} characters more]"
