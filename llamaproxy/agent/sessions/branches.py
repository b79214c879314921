"""The branches of a session's conversation: which one a message belongs to, and where on it."""

from msgspec import Struct

from ...seams.interfaces import ISessionStore
from ...seams.openings import agree
from ...seams.types import ChatTurn, Message, Spot
from ..backends import Backends
from .edits import (
    Course,
    course,
    goes_on_with,
    is_first,
    retry_point,
    rounds_of,
    since,
    telling_answer,
)
from .limits import Limits
from .session import Session
from .stored import for_sure

# In the session's settings: the places of apps' histories at which their users chose a branch, with the branches, the
# last ones. What an app shows from before that is no evidence any more.
CHOSEN = "branches_chosen"
MOST_CHOSEN = 16

BACK = "[back to where this message stands in the app; what came after it is on branch {branch}, !undo returns there]\n"
AGAIN = "[another answer; the one before is on branch {branch}, !undo returns there]\n"
OTHER = "[on with branch {branch}, which this chat shows; !undo returns to the other one]\n"
NEW_CHAT = "[this chat goes on from what was said before; !reset begins anew]\n"


class Place(Struct, frozen=True):
    """Where a message goes: `after` a spot, or to the end of the active branch.

    `stored` are the messages of its turn that are there already, itself first. `linked` is as in `Mark`. `note` is what
    the user has to know of it, "" for nothing.
    """

    after: Spot | None = None
    stored: tuple[Message, ...] = ()
    linked: bool = False
    note: str = ""


class Branches:
    """Finds places by what apps show, and changes the active branch, at the wish of a person or of their app."""

    def __init__(self, store: ISessionStore, backends: Backends, limits: Limits) -> None:
        self._store = store
        self._backends = backends
        self._limits = limits

    async def place(self, session: Session, asked: ChatTurn, text: str, late: bool) -> Place:
        """Where `asked` goes, whose prompt is `text`; takes up the branch that the app shows, if it is another one.

        A message that came `late`, while the turn before it ran, says nothing about that turn.
        """
        start = retry_point(session.kept, asked, text)
        if start is not None:
            return self._again(session, start, with_rounds=True)
        separate, follow = self._limits.separate_chats, self._limits.follow_edits
        chosen: dict[str, int] = session.settings.get(CHOSEN, {})
        shown = since(asked, chosen) if chosen else asked
        here, note = course(session.kept, shown), ""
        if separate or follow:
            proven = here.kind == "back" and not late
            other = await self._elsewhere(session, shown, here, proven) if here.newer or proven else None
            if other is not None and await self.take_up(session, other):
                here, note = course(session.kept, shown), OTHER.format(branch=other)
        match here.kind:
            case "unknown" if separate:
                if shown is asked:
                    return await self._apart(session, asked)
                await self.take_up(session, chosen[shown.trail[0]])
                return Place()
            case "unknown":
                return Place(note=NEW_CHAT if _is_news(session, asked) else "")
            case "back" if follow and not late:
                self._tell_models(session)
                after = Spot(session.branch, here.start)
                return Place(after, (), True, note + BACK.format(branch=session.branch))
            case "again" if follow and not late:
                return self._again(session, here.start, note=note)
        return Place(linked=here.linked, note=note)

    async def take_up(self, session: Session, branch: int) -> bool:
        """Makes a branch the active one; whether there is such a branch."""
        there = branch == session.branch or await for_sure(self._store.take_up(session.session_id, branch))
        if there and branch != session.branch:
            await self._follow(session)
        return there

    def choose(self, session: Session, place: str) -> None:
        """Remembers where in the app its user chose the active branch; the settings are to be saved then."""
        chosen: dict[str, int] = {**session.settings.get(CHOSEN, {}), place: session.branch}
        session.settings[CHOSEN] = dict(list(chosen.items())[-MOST_CHOSEN:])

    async def step_back(self, session: Session) -> bool:
        """Goes back to the branch that was the active one before; whether there was one."""
        stepped = await for_sure(self._store.step_back(session.session_id)) is not None
        if stepped:
            await self._follow(session)
        return stepped

    async def _follow(self, session: Session) -> None:
        stored = await self._store.load(session.session_id, self._limits.history_max_ctx)
        if stored is not None:
            session.follow(stored)
        self._tell_models(session)

    def _tell_models(self, session: Session) -> None:
        for _, model in self._backends.keeping():
            model.rewind(session.session_id)

    def _again(self, session: Session, start: int, with_rounds: bool = False, note: str = "") -> Place:
        """The place behind the message at `start`, or behind what its tools have done, so that none runs twice."""
        turn = session.kept.since(start)
        stored = (turn[0], *(rounds_of(turn) if with_rounds else ()))
        self._tell_models(session)
        after = Spot(session.branch, start + len(stored))
        if after.length == session.message_count:
            # There was no answer yet.
            return Place(after, stored, note=note)
        return Place(after, stored, note=note + AGAIN.format(branch=session.branch))

    async def _elsewhere(self, session: Session, asked: ChatTurn, here: Course, proven: bool) -> int | None:
        """The branch that the message belongs to, if that is not the active one.

        It has the newest of the answers that the app shows and the active branch has not, or the message itself. The
        one is `proven` to show this conversation by the other, or was already.
        """
        order = {place: number for number, place in enumerate({**here.newer, asked.trail[-1]: ""})}
        others: list[tuple[int, int]] = []
        for trace in await self._store.find(session.session_id, list(order)):
            if trace.spot.branch == session.branch:
                continue
            if trace.opening is not None and agree(trace.opening, here.newer.get(trace.place, "")):
                proven = True
                others.append((order[trace.place], trace.spot.branch))
            elif trace.opening is None and trace.place == asked.trail[-1]:
                others.append((order[trace.place], trace.spot.branch))
        return max(others)[1] if proven and others else None

    async def _apart(self, session: Session, asked: ChatTurn) -> Place:
        """The place of a message whose chat is not that of the active branch: another branch, or a new one."""
        if goes_on_with(session.kept, asked):
            return Place()
        if (answer := telling_answer(asked)) is not None:
            branches = await self._store.branches(session.session_id)
            number = next((each.number for each in reversed(branches) if each.ending == answer), None)
            if number is not None and await self.take_up(session, number):
                return Place(note=OTHER.format(branch=number))
        if not session.message_count:
            return Place()
        self._tell_models(session)
        return Place(Spot(session.branch, 0))


def _is_news(session: Session, asked: ChatTurn) -> bool:
    """Whether `asked` begins a chat whose user may not know what was said before.

    A program that never sends a history is told once, and one that repeats itself not at all.
    """
    turns = session.kept.turns
    if not turns or not is_first(asked):
        return False
    last = session.kept.since(turns[-1].start)[0].mark
    return last is None or (last.after != asked.trail[-1] and (len(turns) == 1 or last.before != ""))
