"""What a request looks like as a whole: what tells an app's errand from a person's message."""

from collections.abc import Sequence
from functools import cached_property

from msgspec import Raw

from .glance import text_of
from .parsing import WireMessage
from .provenance import own_words

# In characters: so much of either end of a longer text is looked at.
LONGEST_END = 50_000
# Characters of an app's history that an errand about it is asked with.
MOST_HISTORY = 48_000
_SYSTEM = ("system", "developer")


class Outline:
    """The messages as the app sent them, their roles in lower case, its system prompt, and whether it sent tools.

    `prompt` is for endpoints that take a text instead of messages. `text` is the last message of the user and `system`
    the app's system prompt, wherever it stands, all of their text as it came: they are read here and now, where it may
    take a moment; the chat before them only when it is asked for. It `has_system` if that is one of the messages.
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
        roles = [message.role for message in messages]
        self.questions = roles.count("user") if messages else 1
        self.answers = roles.count("assistant")
        self.tools = tools
        for message in reversed(messages):
            if message.role == "user":
                prompt = text_of(message.content)
                break
        self.text = _ends(prompt)
        self.has_system = "system" in roles or "developer" in roles
        told = [system if isinstance(system, str) else text_of(system)]
        if self.has_system:
            told += [text_of(message.content) for message in messages if message.role in _SYSTEM]
        self.system = _ends("\n".join(filter(None, told)))

    @cached_property
    def first_words(self) -> str:
        """What a person said first, as far as the app shows it."""
        return next(filter(None, (_words(each) for each in self._messages if each.role == "user")), "")

    @cached_property
    def last_system(self) -> str:
        """The last message, if it is one of the system's: some apps end with an instruction in its name."""
        last = self._messages[-1] if self._messages else None
        return text_of(last.content) if last is not None and last.role in _SYSTEM else ""

    def conversation(self) -> str:
        """What the app shows of the conversation before its last message, the end of it if it is long."""
        before = list(self._messages)
        while before and not self.last_system and before.pop().role != "user":
            pass
        lines: list[str] = []
        left = MOST_HISTORY
        while before and left > 0:
            message = before.pop()
            if message.role not in ("user", "assistant"):
                continue
            said = _words(message) if message.role == "user" else text_of(message.content)
            lines.append(f"{message.role.upper()}: {said.strip()[-left:]}")
            left -= len(lines[-1])
        return "\n\n".join(reversed(lines))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * LONGEST_END else f"{text[:LONGEST_END]}\n{text[-LONGEST_END:]}"


def _words(message: WireMessage) -> str:
    """What a person typed of a message."""
    return own_words(text_of(message.content)).strip()
