"""What lists say of models that somebody else runs."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from llamaproxy.config.schema import ModelEntry
from llamaproxy.models.remote import RemoteModel
from llamaproxy.seams.errors import ModelError, ModelRateLimited, ModelTimeout, ModelUnavailable
from llamaproxy.seams.interfaces import IDeltaReceiver
from llamaproxy.seams.types import Message, ModelRequest, ModelResult

from .fakes import Listener

HELLO = ModelRequest(messages=[Message(role="user", content="hello")])


class Scripted:
    """Answers, or fails with what the test says."""

    def __init__(self) -> None:
        self.error: Callable[[str], ModelError] | None = None

    def ask(self, request: ModelRequest, receiver: IDeltaReceiver) -> Deferred[ModelResult]:
        return fail(self.error("it is not there")) if self.error else succeed(ModelResult())


class RunningTests(SynchronousTestCase):
    def test_a_model_runs_once_it_has_answered_and_until_it_cannot_be_reached(self) -> None:
        chat = Scripted()
        model = RemoteModel("m", ModelEntry(type="OPENAI", model_id="x", host="http://h/v1"), 0.0, chat)
        self.assertFalse(model.info().loaded)
        said: list[tuple[Any, bool]] = []
        for error in (None, ModelRateLimited, ModelUnavailable, ModelRateLimited, None, ModelTimeout, None):
            chat.error = error
            asked = model.chat(HELLO, Listener())
            if error is None:
                self.successResultOf(asked)
            else:
                self.failureResultOf(asked, error)
            said.append((error, model.info().loaded))
        self.assertEqual([loaded for _, loaded in said], [True, True, False, False, True, False, True], said)
