"""`url_extract`: what a web page says, without its menus and advertisements."""

from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..config.tools import UrlExtract
from ..seams.errors import ToolError
from ..seams.interfaces import ITool
from ..seams.types import Access, ToolContext
from .base import BuiltIn, schema
from .charsets import codec_of, declared, marked, text_of
from .fetch import Page, fetch
from .threads import Workers

_HTML = ("text/html", "application/xhtml+xml")
# Of a page whose article is looked for, which can take the square of that; of others there is the text alone.
MOST_TAGS = 40_000


@implementer(ITool)
class UrlExtractTool(BuiltIn):
    """Fetches in the reactor, extracts in a thread."""

    name = "url_extract"
    category = "extract"
    description = (
        "Fetches a web page and returns its main text as Markdown; plain text and JSON as they are. "
        "With a query, only the paragraphs that contain a word of it."
    )
    parameters = schema(
        ("url",),
        url={"type": "string", "description": "http://... or https://..."},
        query={"type": "string", "description": "Words to look for in the page."},
    )

    def __init__(self, settings: UrlExtract, workers: Workers) -> None:
        self._settings = settings
        self._workers = workers
        self.timeout = settings.timeout

    def start(self) -> None:
        """Loads the extractor, which takes a while."""
        self._workers.run(lambda abort: _text_of_html(b"<p>x</p>", "")).addErrback(lambda _: None)

    def stop(self) -> None:
        """Lets go of what is under way."""
        self._workers.stop()

    def access(self, arguments: dict[str, Any]) -> Access:
        """A look at the web."""
        return Access(operation="read", gate=self.name)

    def run(self, arguments: dict[str, Any], context: ToolContext) -> Deferred[str]:
        """The text of the page."""
        return Deferred.fromCoroutine(
            self._run(arguments["url"], arguments.get("query", ""), context.reactor)
        )

    async def _run(self, url: str, query: str, reactor: Any) -> str:
        page = await fetch(reactor, url, self._settings.max_bytes, self._settings.allow_private)
        text = await self._workers.run(lambda abort: _text(page))
        if query:
            text = _about(query, text)
        limit = self._settings.max_characters
        notes = []
        if page.url != url:
            notes.append(f"[from {page.url}]")
        if page.cut or len(text) > limit:
            notes.append(f"[only the beginning; the page has more than {min(len(text), limit)} characters]")
        return "\n".join([text[:limit], *notes])


def _text(page: Page) -> str:
    if page.media_type in _HTML:
        codec = marked(page.body) or codec_of(page.charset) or declared(page.body)
        # Without any of them the extractor has its own ways to find out.
        return _text_of_html(text_of(page.body, codec) if codec else page.body, page.url)
    if page.media_type.startswith("text/") or page.media_type.endswith(("json", "+xml", "/xml")):
        return text_of(page.body, codec_of(page.charset) or declared(page.body))
    raise ToolError(f"{page.url} is {page.media_type}, of which there is no text to extract")


def _text_of_html(body: bytes | str, url: str) -> str:
    from trafilatura import extract, html2txt

    tags = body.count(b"<") if isinstance(body, bytes) else body.count("<")
    try:
        text = tags <= MOST_TAGS and extract(
            body, url=url or None, output_format="markdown", include_links=True, include_comments=False
        )
        return text or html2txt(body) or "(the page has no text)"
    except Exception as error:  # of its parsers, which have no errors in common
        raise ToolError(f"{url} is too odd to be read ({str(error) or type(error).__name__})") from None


def _about(query: str, text: str) -> str:
    words = query.casefold().split()
    found = [part for part in text.split("\n") if any(word in part.casefold() for word in words)]
    return "\n\n".join(found) or f"(nothing about {query!r}; the page begins:)\n{text[:1000]}"
