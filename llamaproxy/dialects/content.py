"""The `content` of a message, in any of the vendors' forms: a person's words, pictures, and material beside them."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence

from msgspec import Raw, Struct
from msgspec.json import Decoder

from ..seams.errors import BadRequest
from ..seams.types import Image, Material
from .body import Entries, Name, decode
from .pictures import picture
from .provenance import RESULT, may_be_wrapped, runs, sort

_NULL = Raw(b"null")
_TEXTS = ("text", "input_text")
# How deeply content may stand in content; the vendors have a page in a tool's result, and pictures in that.
_DEEPEST = 4


class _ImageUrl(Struct):
    url: str


class _Source(Struct):
    """Where Anthropic has a picture or a document."""

    type: Name = "base64"
    media_type: Name = ""
    data: str = ""
    url: str = ""
    content: Raw = _NULL


class _File(Struct):
    """OpenAI's file, in chat completions; responses have the same fields in the part itself."""

    filename: str | None = None
    file_data: str | None = None


class _Part(_File):
    """One part of a `content` list."""

    type: Name = "text"
    text: str | None = None
    image_url: _ImageUrl | str | None = None
    source: _Source | str | None = None
    title: str | None = None
    tool_name: Name = ""
    tool_use_id: Name = ""
    file: _File | None = None
    content: Raw = _NULL


_content: Decoder[str | list[_Part] | None] = Decoder(str | Entries[_Part] | None)
_text = Decoder(str)
_QUOTE = ord('"')


class Said(Struct, frozen=True, kw_only=True):
    """A message taken apart. `runs` are what a person typed, in `pieces` pieces: more than one run where a note of the
    app stands between them. `whole` is all text as it came.
    """

    runs: tuple[str, ...]
    pieces: int
    whole: str
    material: tuple[Material, ...]
    images: tuple[Image, ...]


def read_said(raw: Raw, at: str) -> Said:
    """Takes a message's `content` apart, which is called `at` in errors. Raises `BadRequest`."""
    reader = _Reader()
    typed = reader.read(raw, at, 0)
    own, around = sort(typed)
    return Said(
        runs=tuple(runs(typed)) if len(own) > 1 else tuple(own),
        pieces=sum(bool(each.strip()) for each in own),
        whole="\n".join(typed),
        material=(*reader.material, *around),
        images=tuple(reader.images),
    )


def plain_text(raw: Raw) -> str:
    """What a content says that is one text with nothing around it, as nearly all are; "" for any other."""
    if memoryview(raw)[0] != _QUOTE:
        return ""
    text = decode(raw, _text)
    return "" if text.isspace() or may_be_wrapped(text) else text


def text_and_images(raw: Raw, at: str) -> tuple[str, list[Image]]:
    """All text of a content that nobody typed, and its pictures. Raises `BadRequest`."""
    reader = _Reader()
    texts = reader.read(raw, at, 1)
    return "\n".join([*texts, *(each.text for each in reader.material)]), reader.images


def results_in(raw: Raw, at: str) -> tuple[list[tuple[str, list[Image], str]], bool]:
    """The results of tools in a message's content, each with its pictures and the id of its call; and whether a person
    says something beside them. Raises `BadRequest`.
    """
    content = decode(raw, _content, at)
    parts = content if isinstance(content, list) else []
    results = []
    for index, part in enumerate(parts):
        if part.type == "tool_result":
            text, images = text_and_images(part.content, f"{at}[{index}].content")
            results.append((text, images, part.tool_use_id))
    typed = (
        [content] if isinstance(content, str) else [part.text or "" for part in parts if part.type in _TEXTS]
    )
    own, _ = sort(typed)
    return results, any(text.strip() for text in own)


class _Reader:
    """Gathers what one message holds beside its texts."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.material: list[Material] = []

    def read(self, raw: Raw, at: str, depth: int) -> list[str]:
        """The texts of a content; what else is in it is gathered."""
        if depth > _DEEPEST:
            raise BadRequest(f"{at}: content is nested too deeply")
        content = decode(raw, _content, at)
        if not isinstance(content, list):
            return [content] if content else []
        texts = []
        for index, part in enumerate(content):
            text = self._part(part, f"{at}[{index}]", depth)
            if text is not None:
                texts.append(text)
        return texts

    def _part(self, part: _Part, at: str, depth: int) -> str | None:
        """The text of a part, None if it is no text."""
        match part.type:
            case "text" | "input_text" | "output_text":
                return part.text or ""
            case "image_url" | "input_image":
                url = part.image_url.url if isinstance(part.image_url, _ImageUrl) else part.image_url
                self.images.append(picture(url or "", f"{at}.image_url"))
            case "image":
                self.images.append(picture(_url_of(_source(part)), f"{at}.source"))
            case "tool_result":
                self._keep(RESULT, self.read(part.content, f"{at}.content", depth + 1))
            case "search_result":
                where = f" ({part.source})" if isinstance(part.source, str) else ""
                found = f"{part.title or 'a page'}{where}, found by a search"
                self._keep(found, self.read(part.content, f"{at}.content", depth + 1))
            case "document":
                self._keep(_titled(part.title), self._document(_source(part), f"{at}.source", depth))
            case "file" | "input_file":
                file = part.file or part
                self._keep(_titled(file.filename), [_text_of(file.file_data or "", at)])
            case "tool_reference":
                return f"[the tool {part.tool_name}]" if depth else None
            case "input_audio":
                raise BadRequest(f"{at}: audio is not understood here; please send text or pictures")
            case _:
                raise BadRequest(f"{at}.type: unknown kind of content '{part.type}'")
        return None

    def _document(self, source: _Source, at: str, depth: int) -> list[str]:
        match source.type:
            case "text":
                return [source.data]
            case "content":
                return self.read(source.content, f"{at}.content", depth + 1)
            case "base64":
                return [_text_of(source.data, at)]
        raise _no_text(at)

    def _keep(self, what: str, texts: Sequence[str]) -> None:
        text = "\n".join(texts)
        if text.strip():
            self.material.append(Material(what=what, text=text))


def _source(part: _Part) -> _Source:
    return part.source if isinstance(part.source, _Source) else _Source()


def _url_of(source: _Source) -> str:
    return source.url if source.type == "url" else f"data:{source.media_type};base64,{source.data}"


def _titled(title: str | None) -> str:
    return f"the file {title}" if title else "a file"


def _text_of(data: str, at: str) -> str:
    """The text of a file in base64, with or without a `data:` prefix; raises `BadRequest` if it is none."""
    try:
        text = b64decode(data.partition(",")[2] if data.startswith("data:") else data).decode("utf-8-sig")
    except (Base64Error, ValueError):
        raise _no_text(at) from None
    if not text or "\0" in text or text.startswith("%PDF"):
        raise _no_text(at)
    return text


def _no_text(at: str) -> BadRequest:
    return BadRequest(f"{at}: files are not understood here unless they are text; please send their text")
