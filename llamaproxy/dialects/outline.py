"""What a request looks like as a whole: what tells an app's errand from a person's message."""

from collections.abc import Sequence
from functools import cached_property

from msgspec import Raw

from ..seams.errors import BadRequest
from .content import Said, read_said
from .parsing import WireMessage

# Characters of an app's history that an errand about it is asked with.
MOST_HISTORY = 48_000
_SYSTEM = ("system", "developer")


class Outline:
    """The messages as the app sent them, its system prompt, and whether it sent tools; read only as far as asked.

    `prompt` is for endpoints that take a text instead of messages.
    """

    def __init__(
        self,
        messages: Sequence[WireMessage] = (),
        *,
        prompt: str = "",
        system: Raw | str = "",
        tools: bool = False,
    ) -> None:
        self._messages = messages
        self._prompt = prompt
        self._system = system
        self.tools = tools
        self._users = [message for message in messages if message.role.lower() == "user"]
        self.questions = len(self._users) if messages else 1
        self.answers = sum(message.role.lower() == "assistant" for message in messages)

    @cached_property
    def text(self) -> str:
        """The last message of the user, all of its text as it came."""
        return _said(self._users[-1]).whole if self._users else self._prompt

    @cached_property
    def first_words(self) -> str:
        """What a person said first, as far as the app shows it."""
        words = (_said(message).text.strip() for message in self._users)
        return next(filter(None, words), "")

    @cached_property
    def system(self) -> str:
        """The app's system prompt, wherever it stands."""
        given = self._system if isinstance(self._system, str) else _read(self._system).whole
        beside = (_said(message).whole for message in self._messages if message.role.lower() in _SYSTEM)
        return "\n".join(filter(None, [given, *beside]))

    @cached_property
    def last_system(self) -> str:
        """The last message, if it is one of the system's: some apps end with an instruction in its name."""
        last = self._messages[-1] if self._messages else None
        return _said(last).whole if last is not None and last.role.lower() in _SYSTEM else ""

    def conversation(self) -> str:
        """What the app shows of the conversation before its last message, the end of it if it is long."""
        lines: list[str] = []
        left = MOST_HISTORY
        until = (
            self._messages.index(self._users[-1])
            if self._users and not self.last_system
            else len(self._messages)
        )
        for message in reversed(self._messages[:until]):
            role = message.role.lower()
            if role in ("user", "assistant") and left > 0:
                said = _said(message)
                line = f"{role.upper()}: {(said.text if role == 'user' else said.whole).strip()[-left:]}"
                left -= len(line)
                lines.append(line)
        return "\n\n".join(reversed(lines))


def _said(message: WireMessage) -> Said:
    return _read(message.content)


def _read(raw: Raw) -> Said:
    """A content taken apart; what cannot be is nothing, as only the turn's message has to make sense."""
    try:
        return read_said(raw, "")
    except BadRequest:
        return Said(text="", pieces=0, whole="", material=(), images=())
