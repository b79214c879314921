"""What a turn that failed leaves behind: a sentence for the log, and nothing of what was going on."""

import gc
from weakref import ref

from llamaproxy.seams.errors import ModelError
from tests.agent.turns.test_turns import TurnCase


class Socket:
    """Stands for whatever is on the stack when something breaks."""


def broken() -> tuple[ModelError, "ref[Socket]"]:
    """An error with two before it, each with a traceback; and what their frames hold."""
    held = Socket()

    def break_down() -> None:
        mine = held
        try:
            try:
                raise OSError(f"the first, with {mine}")
            except OSError as first:
                # A frame that names its own error, as many do, is a circle that only the garbage collector breaks.
                second = ValueError("the second")
                raise second from first
        except ValueError:
            raise ModelError("it failed")  # noqa: B904, the context is the point

    try:
        break_down()
    except ModelError as error:
        return error, ref(held)
    raise AssertionError


class LeftoverTests(TurnCase):
    def test_failed_turn_keeps_nothing_of_what_was_going_on(self) -> None:
        gc.disable()
        self.addCleanup(gc.enable)
        for said in ("", "some words"):
            listener = self.listen("hello")
            error, held = broken()
            if said:
                self.house.calls[-1].say(said)
            self.house.calls[-1].result.errback(error)
            self.assertEqual(str(listener.error), "it failed")
            del error
            listener.error = None
            self.assertIsNone(held(), f"after {said!r}")
