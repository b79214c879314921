"""Which dialect's endpoints a request belongs to.

The site has already made the path plain (`/v1/api/chat`, `//api/chat/` and `/api/chat` are one path here, and so are
`/models` and `/v1/models`) and has turned away who may not come in. The same choice of dialect decides who answers
and how an error looks, a 404 included.
"""

from typing import Any

from twisted.web.resource import IResource, Resource

from ..dialects.detect import target_path
from . import metrics
from .anthropic_routes import AnthropicEndpoints
from .endpoints import Endpoints
from .errors import dialect_of
from .heads import Head
from .health import LIVES, READY, Health
from .ollama_routes import OllamaEndpoints
from .openai_routes import OpenAIEndpoints
from .plain_routes import PlainRoutes
from .site import Intake


class Routes(Resource):
    """The root of the site. The other arguments than `health` are those of `Endpoints`.

    `pages` are the server's own, if it has some.
    """

    isLeaf = True

    def __init__(self, *args: Any, health: Health | None = None, **kwargs: Any) -> None:
        super().__init__()
        self._health = health
        self.pages: IResource | None = None
        kinds: tuple[type[Endpoints], ...] = (OllamaEndpoints, OpenAIEndpoints, AnthropicEndpoints)
        self.endpoints = [kind(*args, **kwargs) for kind in kinds]
        self._resources = {each.dialect: PlainRoutes(each) for each in self.endpoints}

    def render(self, intake: Intake) -> Any:
        """Hands the request on."""
        # These only as they are written: a proxy that keeps strangers from them may compare nothing else.
        head = intake.head
        assert head is not None
        path = head.once(_written_path)
        if intake.method == b"GET" and path == b"/metrics":
            return metrics.page(intake)
        if self._health is not None and intake.method in (b"GET", b"HEAD") and path in (LIVES, READY):
            return self._health.page(intake, path)
        if self.pages is not None and (head.is_page or head.path == "/"):
            return self.pages.render(intake)
        return self._resources[dialect_of(intake)].render(intake)


def _written_path(head: Head) -> bytes:
    return target_path(head.target)
