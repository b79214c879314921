"""Lines of the log that are there already: each request writes one, and each turn."""

from time import time

from twisted.logger import Logger, LogLevel

from .visible import visible


class Lines(Logger):
    """Logs lines as `info("{line}", line=...)` would, at a fraction of the cost: that looks through all levels first.

    Its event has the line as `visible_line` as well, in which nothing acts on a terminal, so that it is looked through
    once, and not by each observer for itself.
    """

    def __init__(self, of: object) -> None:
        kind = type(of)
        super().__init__(f"{kind.__module__}.{kind.__qualname__}", of)

    def line(self, text: str, **more: object) -> None:
        """Logs one; what is `more` is for observers that want to know what it is made of."""
        self.observer(
            {
                "log_logger": self,
                "log_level": LogLevel.info,
                "log_namespace": self.namespace,
                "log_source": self.source,
                "log_format": "{line}",
                "log_time": time(),
                "line": text,
                "visible_line": visible(text),
                **more,
            }
        )
