"""Recognises tool calls that a model writes into its answer, as many local models do; see `sieve` and `forms`.

Nothing is a call where the model's server tells calls from text itself.
"""

from collections import deque
from collections.abc import Collection, Sequence
from secrets import token_hex

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from ...seams.interfaces import IDeltaReceiver
from ...seams.types import ModelDelta, Text, ToolCall, ToolCallDelta
from .sieve import MEMORY, Sieve, find_sign

# No call is longer; what was held back is passed on at this many characters.
HOLD_LIMIT = 64 * 1024


@implementer(IDeltaReceiver)
class TextCalls:
    """Stands between a model and a receiver for one answer; `names` are those of the tools on offer.

    `calls` holds what was found, complete after `finish`.
    """

    def __init__(self, receiver: IDeltaReceiver, names: Collection[str]) -> None:
        self.calls: list[ToolCall] = []
        self._receiver = receiver
        self._sieve = Sieve(names, HOLD_LIMIT)
        self._idle = False
        self._server_tells = False
        # What went past the sieve, the last of it.
        self._recent: deque[Sequence[ModelDelta]] = deque(maxlen=MEMORY)

    def registerProducer(self, producer: IPushProducer) -> None:
        """Passed on."""
        self._receiver.registerProducer(producer)

    def unregisterProducer(self) -> None:
        """Passed on."""
        self._receiver.unregisterProducer()

    def deltasReceived(self, deltas: Sequence[ModelDelta]) -> None:
        """Passes on what cannot be part of a call; most segments go through as they are."""
        if self._idle:
            for delta in deltas:
                if type(delta) is Text:
                    if find_sign(delta.text):
                        break
                elif type(delta) is ToolCallDelta:
                    break
            else:
                self._recent.append(deltas)
                self._receiver.deltasReceived(deltas)
                return
        elif self._server_tells:
            self._receiver.deltasReceived(deltas)
            return
        passed: list[ModelDelta] = []
        self._catch_up()
        for delta in deltas:
            if type(delta) is ToolCallDelta:
                self._leave_to_server(passed)
            elif type(delta) is Text and not self._server_tells:
                if text := self._sieve.take(delta.text):
                    passed.append(Text(text))
                continue
            passed.append(delta)
        self._idle = self._sieve.idle and not self._server_tells
        if passed:
            self._receiver.deltasReceived(passed)

    def finish(self, cut: bool = False, server_tells: bool = False) -> None:
        """The answer is over: what is still held back is a call, perhaps without its end, or text after all.

        `cut` says that the model would have said more, `server_tells` that its server has found calls itself.
        """
        passed: list[ModelDelta] = []
        self._catch_up()
        if server_tells:
            self._leave_to_server(passed)
        elif not self._server_tells and (text := self._sieve.end(cut)):
            passed.append(Text(text))
        self.calls = [
            ToolCall(id=f"call_{token_hex(8)}", name=call.name, arguments=call.arguments)
            for call in self._sieve.found
        ]
        if passed:
            self._receiver.deltasReceived(passed)

    def give_up(self) -> None:
        """The answer broke off: there are no calls in it."""
        self.finish(server_tells=True)

    def _leave_to_server(self, passed: list[ModelDelta]) -> None:
        """From now on everything is text, and so is what was found before."""
        self._server_tells, self._idle = True, False
        if text := self._sieve.give_back():
            passed.append(Text(text))

    def _catch_up(self) -> None:
        if self._recent:
            self._sieve.saw("".join(d.text for deltas in self._recent for d in deltas if type(d) is Text))
            self._recent.clear()
