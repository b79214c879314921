"""What the app's own history tells: whether its user went back to an earlier message, to change it or to ask it again.

The agent keeps the conversation, and takes nothing of the app's but the newest message. Yet the user edits and
regenerates in the app, and the conversation goes on from there. The evidence has to be good: the app must show an
answer that was given in this conversation, at its place. What every chat of an app begins with proves nothing. In doubt
it is a new message.
"""

from collections.abc import Container, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ...seams.openings import agree
from ...seams.types import ChatTurn, Mark, Message
from .kept import Kept, Told, is_of_a_round

# Letters and digits of an answer that is known again without its place.
TELLING = 16


class Course(Struct, frozen=True):
    """Where a message belongs, as far as the messages that were looked at tell.

    `on`: behind them; `linked` says that the app showed the last of them. `back`: in the place of the turn that begins
    at `start`, and of all after it. `again`: it is the very message of that turn. `unknown`: the app shows nothing that
    was said here. `newer` are the openings of the answers that it shows behind all that is known, by their places.
    """

    kind: Literal["on", "back", "again", "unknown"]
    start: int = 0
    linked: bool = False
    newer: dict[str, str] = {}


ON = Course("on")


def mark_of(asked: ChatTurn, linked: bool) -> Mark | None:
    """The mark of a message; None if the app shows no history."""
    trail = asked.trail
    return Mark(before=trail[-2], after=trail[-1], linked=linked) if len(trail) > 1 else None


def retry_point(kept: Kept, asked: ChatTurn, text: str) -> int | None:
    """Where the last turn begins if `asked`, whose prompt is `text`, is its message once more; None if it is not.

    The client says so itself where it counts its tries, or sends along what it got of the answer. For a message that
    shows no other before it, that is sure only if the turn was cut short: programs ask the same question once an hour.
    """
    last = kept.turns[-1] if kept.turns else None
    if last is None or not (asked.attempt or _goes_on(asked) or is_unfinished(kept.messages)):
        return None
    if len(asked.trail) < 2:
        question = kept.since(last.start)[0]
        return last.start if question.mark is None and question.content == text and last.interrupted else None
    if last.mark.after != asked.trail[-1]:
        return None
    if last.interrupted or (asked.attempt and not is_first(asked)):
        return last.start
    tail = asked.shown[-1] if asked.shown else None
    return last.start if agree(last.given.opening, tail or "") else None


def course(kept: Kept, asked: ChatTurn) -> Course:
    """Where the message belongs in the branch that ends with what is `kept` of it."""
    trail, shown = asked.trail, asked.shown
    if len(trail) < 2:
        return ON
    turns = kept.turns
    if turns and turns[-1].mark.after == trail[-1]:
        # Neither a new chat's nor a program's that never sends a history: it was cut short, or the app sends one.
        sends = asked.shows_history or any(turn.mark.before for turn in turns)
        if turns[-1].interrupted or (is_first(asked) and sends):
            return Course("again", turns[-1].start)
    tail = shown[-1] or ""
    for turn in reversed(turns) if tail else ():
        if turn.given.place == trail[-1] and agree(turn.given.opening, tail):
            return Course("again", turn.start)
    # The app shows no answer to what it shows last, but there is one here.
    if turns and asked.unanswered and any(each.place == turns[-1].mark.after for each in asked.unanswered):
        return Course("on", linked=True)
    if is_first(asked) and not tail:
        return Course("unknown")
    places = {place: index for index, place in enumerate(trail[:-1]) if place}
    proven = [
        places[turn.given.place]
        for turn in (turns if places else ())
        if turn.given.place in places and agree(turn.given.opening, shown[places[turn.given.place]] or "")
    ]
    newest = max(proven, default=-1)
    newer = {
        trail[index]: answer
        for index, answer in enumerate(shown)
        if index > newest and trail[index] and answer
    }
    if not proven:
        return Course("unknown", newer=newer)
    same = next((turn for turn in reversed(turns) if turn.mark.after == trail[-1]), None)
    if same is not None:
        return Course("again", same.start, newer=newer)
    # The user may have changed the words of an answer, too, but not the messages around it.
    there = {*places, *(each.place for each in asked.unanswered)}
    left: list[Told] = []
    for turn in reversed(turns):
        if _is_shown(turn, there):
            break
        left.append(turn)
    if not left:
        return Course("on", linked=True, newer=newer)
    if not all(turn.mark.linked for turn in left):
        return Course("on", newer=newer)
    return Course("back", left[-1].start, newer=newer)


def is_first(asked: ChatTurn) -> bool:
    """Whether the app shows no conversation before the message."""
    return len(asked.trail) == 2 and asked.trail[0] == ""


def unheard(messages: Sequence[Message], asked: ChatTurn) -> list[str]:
    """What stands unanswered before the message in the app, and is not part of the conversation yet."""
    places = {message.mark.after for message in messages if message.mark is not None}
    known = max((index for index, each in enumerate(asked.unanswered) if each.place in places), default=-1)
    return [each.text for each in asked.unanswered[known + 1 :]]


def was_answered(kept: Kept, asked: ChatTurn) -> bool:
    """Whether the message stands in the history at its very place, with a whole answer."""
    place = asked.trail[-1] if asked.trail else None
    return any(turn.mark.after == place and not turn.interrupted for turn in kept.turns)


def goes_on_with(kept: Kept, asked: ChatTurn) -> bool:
    """Whether the last answer that the app shows is the one that the branch ends with, at whatever place.

    Apps that send only the end of a long chat show no places that are known here.
    """
    return bool(kept.turns) and kept.turns[-1].given.opening == telling_answer(asked)


def telling_answer(asked: ChatTurn) -> str | None:
    """The last answer that the app shows, if it is long enough to be known by itself."""
    answer = next((each for each in reversed(asked.shown[:-1]) if each is not None), None) or ""
    return answer if len(answer) >= TELLING else None


def since(asked: ChatTurn, places: Container[str]) -> ChatTurn:
    """The message with what the app shows from the last of certain places on; with all of it if it shows none."""
    for index in range(len(asked.trail) - 1, -1, -1):
        if asked.trail[index] in places:
            return replace(asked, trail=asked.trail[index:], shown=asked.shown[index:])
    return asked


def is_unfinished(messages: Sequence[Message]) -> bool:
    """Whether they end in the middle of a turn, as a crash leaves it."""
    return bool(messages) and is_of_a_round(messages[-1])


def rounds_of(turn: Sequence[Message]) -> list[Message]:
    """The rounds of tools in the messages of a turn."""
    return [message for message in turn if is_of_a_round(message)]


def _goes_on(asked: ChatTurn) -> bool:
    """Whether the app shows the beginning of an answer to the message itself."""
    return bool(asked.shown) and asked.shown[-1] is not None


def _is_shown(turn: Told, places: Container[str]) -> bool:
    return turn.mark.after in places or turn.given.place in places
