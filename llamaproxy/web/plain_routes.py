"""The way of a request to its endpoint where the route has no variable, which is so for nearly all of them.

The routes are Klein's: declared there, and looked up there for whatever is not found here (a path with a variable,
HEAD, a method that a path does not take, a path that is nobody's). But Klein searches for each request anew, and wraps
it in functions that hold each other until the garbage collector finds them. Here the route is looked up in a
dictionary, and a request costs nothing beside what its endpoint takes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ..seams.tasks import Task
from .endpoints import Answer, Endpoints, failed
from .site import Intake
from .streaming import Outlet

Endpoint = Callable[[Intake], Answer]


class PlainRoutes(Resource):
    """Answers with `endpoints` as their Klein app would: an answer is written, and the request finished.

    An endpoint that waits is cancelled when the client leaves.
    """

    isLeaf = True
    log = Logger()

    def __init__(self, endpoints: Endpoints) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._klein = endpoints.resource()
        self._plain: dict[tuple[bytes, str], Endpoint] = {
            (method.encode(), rule.rule): getattr(endpoints, rule.endpoint)
            for rule in endpoints.app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD"}
            if not rule.arguments
        }

    def render(self, intake: Intake) -> Any:
        """See `IResource`."""
        endpoint = self._plain.get((intake.method, intake.plain_path))
        if endpoint is None:
            return self._klein.render(intake)
        try:
            answer = endpoint(intake)
        except Exception:
            return failed(self._endpoints, intake, Failure())
        if isinstance(answer, bytes):
            return answer
        if isinstance(answer, Outlet):
            intake.answering = answer
            answer.carry(self._answer)
        else:
            answering = Task(answer).addBoth(partial(self._answer, intake))
            if not answering.called:
                intake.answering = answering
        return NOT_DONE_YET

    def _answer(self, request: Intake, body: bytes | Failure) -> None:
        try:
            request.answering = None
            if isinstance(body, Failure):
                body = failed(self._endpoints, request, body)
            if request.channel is not None:
                if body or not request.startedWriting:
                    request.write(body)
                request.finish()
        except Exception:
            self.log.failure("while answering {id}", id=request.request_id)
