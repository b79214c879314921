"""Which messages our models may send to other agents: the operator's filter of how they begin."""

from collections.abc import Iterable, Mapping

ALLOWED, BLOCKED = "OUTBOUND_AGENT_ALLOWED_COMMANDS", "OUTBOUND_AGENT_BLOCKED_COMMANDS"


class Outbound:
    """Prefixes, in any case, that end where a word does; an empty list checks nothing.

    Agents run every line that begins with `!` as a command, so each of these has to pass, and not only the first
    line of a message.
    """

    def __init__(self, allowed: Iterable[str] = (), blocked: Iterable[str] = ()) -> None:
        self._allowed = _plain(allowed)
        self._blocked = _plain(blocked)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Outbound":
        """From the variables of the operator, whose items are separated by commas."""
        return cls(environ.get(ALLOWED, "").split(","), environ.get(BLOCKED, "").split(","))

    def refusal(self, message: str) -> str | None:
        """Why the message may not be sent, for the model; None if it may."""
        first, *others = message.strip().splitlines() or [""]
        commands = [line.strip() for line in others if line.lstrip().startswith("!")]
        for line in (first, *commands):
            if _begins(line, self._blocked):
                return f"the operator does not let other agents be sent what begins like {_beginning(line)!r}"
            if self._allowed and not _begins(line, self._allowed):
                return (
                    f"the operator lets other agents be sent only what begins with {' or '.join(self._allowed)}, "
                    f"and not {_beginning(line)!r}"
                )
        return None


def _plain(prefixes: Iterable[str]) -> tuple[str, ...]:
    return tuple(each for prefix in prefixes if (each := prefix.strip().lower()))


def _begins(line: str, prefixes: tuple[str, ...]) -> bool:
    line = line.lower()
    return any(line.startswith(prefix) and _ends_word(line, prefix) for prefix in prefixes)


def _ends_word(line: str, prefix: str) -> bool:
    return not (_in_word(prefix[-1]) and _in_word(line[len(prefix) : len(prefix) + 1]))


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _beginning(line: str) -> str:
    return line.split(maxsplit=1)[0][:40] if line else ""
