"""Reading what clients send, as tolerantly as their variety asks; what makes no sense is a `BadRequest`.

The client's history is skipped over, not decoded: only the last user message counts, so a long chat full of
pictures costs one scan of its bytes.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Any, TypeVar

from msgspec import DecodeError, Meta, Raw, Struct, ValidationError
from msgspec.json import Decoder, encode

from ..seams.errors import BadRequest
from ..seams.types import ChatTurn, Image, Message, Options

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Of an app's history, how many messages back an edit is followed.
MAX_TRAIL = 64

# A body with more backslashes than this is not searched for halves of emoji.
MAX_ESCAPES = 1_000_000

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))

_BOM = b"\xef\xbb\xbf"
_NULL = Raw(b"null")
_PLAIN = Options()

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# How base64 of each format's first bytes begins.
_MAGIC = {
    "/9j/": "image/jpeg",
    "iVBORw0KGgo": "image/png",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "Qk": "image/bmp",
}

T = TypeVar("T")

# Names come back in every frame or in an error's text, so they must be short.
Name = Annotated[str, Meta(max_length=256)]


class WireMessage(Struct):
    """One entry of `messages`; `content` and `images` (Ollama's) are decoded for the turn's message only."""

    role: Name
    content: Raw = _NULL
    images: Raw = _NULL


class _ImageUrl(Struct):
    url: str


class _Source(Struct):
    """Where Anthropic has a picture."""

    type: Name = "base64"
    media_type: Name = ""
    data: str = ""
    url: str = ""


class _Part(Struct):
    """One part of a `content` list, in any of the vendors' forms."""

    type: Name = "text"
    text: str | None = None
    image_url: _ImageUrl | str | None = None
    source: _Source | None = None
    content: Raw = _NULL


class _TextPart(Struct):
    """What `_Part` has to read."""

    text: str | None = None


_content: Decoder[str | list[_Part] | None] = Decoder(str | list[_Part] | None)
_texts: Decoder[str | list[_TextPart] | None] = Decoder(str | list[_TextPart] | None)
_images: Decoder[list[str] | None] = Decoder(list[str] | None)


def decode_body(body: bytes, decoder: Decoder[T]) -> T:
    """Decodes a request's body, with or without a byte order mark; raises BadRequest naming the field."""
    body = body.removeprefix(_BOM)
    if not body or body.isspace():
        raise BadRequest("missing request body")
    try:
        return _decode(body, decoder)
    except BadRequest:
        repaired = _without_lone_surrogates(body)
        if repaired is None:
            raise
    return _decode(repaired, decoder)


def last_user_turn(
    messages: Sequence[WireMessage], options: Options = _PLAIN, field: str = "messages"
) -> ChatTurn:
    """What the last user message says; others may follow it, as when an app has the assistant continue.

    `field` is what the list is called in errors.
    """
    latest = None
    for index, message in enumerate(messages):
        role = message.role.lower()
        if role not in _ROLES:
            raise BadRequest(f"{field}[{index}].role: unknown role '{message.role}'")
        if role == "user":
            latest = index
    if latest is None:
        raise BadRequest(f"{field}: there is no user message")
    at = f"{field}[{latest}]"
    text, shown = read_content(messages[latest].content, f"{at}.content")
    sent = _decode(messages[latest].images, _images, f"{at}.images") or ()
    images = (*shown, *pictures(sent, f"{at}.images"))
    if not text.strip() and not images:
        raise BadRequest(f"{at}.content: the message is empty")
    return ChatTurn(text=text, images=images, options=options, trail=_trail(messages))


def _trail(messages: Sequence[WireMessage]) -> tuple[str, ...]:
    """See `ChatTurn.trail`. None where the assistant is to continue: that is no new message of the user."""
    if messages[-1].role.lower() != "user":
        return ()
    users = [message for message in messages if message.role.lower() == "user"]
    old = max(0, len(users) + 1 - MAX_TRAIL)
    digest = blake2b(digest_size=8)
    trail = [] if old else [""]
    for index, message in enumerate(users):
        digest.update(_text_only(message.content))
        if index + 1 >= old:
            trail.append(digest.hexdigest())
    return tuple(trail)


def _text_only(content: Raw) -> bytes:
    """The text as JSON, which says itself where it ends; pictures are skipped over, a history may be full of them."""
    plain = bytes(content)
    if plain.startswith(b'"'):
        return plain
    try:
        said = _texts.decode(content)
    except (ValidationError, DecodeError):
        return plain
    return encode("\n".join(part.text for part in said if part.text)) if isinstance(said, list) else plain


def size_of(message: WireMessage, at: str) -> Message:
    """The message in full, so that its tokens can be estimated. What the model itself said counts as it came."""
    if message.role.lower() == "assistant":
        return Message(role="assistant", content=bytes(message.content).decode())
    text, images = read_content(message.content, f"{at}.content")
    return Message(role="user", content=text, images=tuple(images))


def texts_of(given: str | Sequence[Any] | None, at: str) -> list[str]:
    """A text or a list of texts, as a list; `at` is the field's name."""
    if given is None:
        raise BadRequest(f"{at}: a text is needed")
    texts = [given] if isinstance(given, str) else list(given)
    for text in texts:
        if isinstance(text, int | list):
            raise BadRequest(f"{at}: tokens are not understood here; please send the text itself")
        if not isinstance(text, str):
            raise BadRequest(f"{at}: expected a text or a list of texts")
    return texts


def system_beside(messages: Sequence[WireMessage]) -> str | None:
    """The system prompt beside a single user message, "" if there is none; None where there is more than that."""
    if not messages or len(messages) > 2 or messages[-1].role.lower() != "user":
        return None
    if len(messages) == 1:
        return ""
    if messages[0].role.lower() not in ("system", "developer"):
        return None
    try:
        content = _decode(messages[0].content, _content)
    except BadRequest:
        return ""
    return "\n".join(part.text or "" for part in content) if isinstance(content, list) else content or ""


def pictures(sources: Sequence[str], at: str) -> tuple[Image, ...]:
    """Ollama's `images`."""
    return tuple(_picture(source, f"{at}[{index}]") for index, source in enumerate(sources))


def read_content(raw: Raw, at: str) -> tuple[str, list[Image]]:
    """The text and the pictures of a message's `content`, which is called `at` in errors."""
    content = _decode(raw, _content, at)
    if not isinstance(content, list):
        return content or "", []
    texts: list[str] = []
    images: list[Image] = []
    for index, part in enumerate(content):
        here = f"{at}[{index}]"
        match part.type:
            case "text" | "input_text" | "output_text":
                texts.append(part.text or "")
            case "image_url" | "input_image":
                url = part.image_url.url if isinstance(part.image_url, _ImageUrl) else part.image_url
                images.append(_picture(url or "", f"{here}.image_url"))
            case "image":
                images.append(_picture(_source_url(part.source or _Source()), f"{here}.source"))
            case "tool_result":
                told, shown = read_content(part.content, f"{here}.content")
                texts.append(told)
                images += shown
            case "input_audio":
                raise BadRequest(f"{here}: audio is not understood here; please send text or pictures")
            case "file" | "input_file" | "document":
                raise BadRequest(f"{here}: files are not understood here; please send their text")
            case _:
                raise BadRequest(f"{here}.type: unknown kind of content '{part.type}'")
    return "\n".join(texts), images


def _source_url(source: _Source) -> str:
    return source.url if source.type == "url" else f"data:{source.media_type};base64,{source.data}"


def _picture(source: str, at: str) -> Image:
    """A picture from bare base64 or a `data:` URL; its first bytes are believed before a stated type."""
    head, data = "", source
    if source[:5].lower() == "data:":
        comma = source.find(",")
        head, data = source[5:comma], source[comma + 1 :]
        if not head.lower().endswith(";base64"):
            raise BadRequest(f"{at}: a data URL must hold base64")
    elif "://" in source[:16]:
        raise BadRequest(f"{at}: please send the picture itself as base64; links are not followed")
    # Of good base64 this leaves the padding; it takes a quarter of the time of decoding.
    rest = data.encode().translate(None, _BASE64)
    if rest.strip(b"="):
        data = "".join(data.split())
        rest = b"".join(rest.split())
    if not data or rest.strip(b"="):
        raise BadRequest(f"{at}: this is not a picture in base64")
    for magic, media_type in _MAGIC.items():
        if data.startswith(magic):
            return Image(data, media_type)
    stated = head.partition(";")[0].strip().lower()
    if stated and not stated.startswith("image/"):
        raise BadRequest(f"{at}: {stated[:80]} is not a picture")
    return Image(data, stated or "image/jpeg")


def _decode(piece: bytes | Raw, decoder: Decoder[T], at: str = "") -> T:
    """Decodes a body, or the piece of it that is called `at`."""
    try:
        return decoder.decode(piece)
    except ValidationError as error:
        raise BadRequest(_explain(error, at)) from None
    except RecursionError:
        raise BadRequest("the request body is nested too deeply") from None
    except UnicodeDecodeError:
        raise BadRequest("the request body is not valid UTF-8") from None
    except DecodeError as error:
        raise BadRequest(f"the request body is not valid JSON: {error}") from None


def _without_lone_surrogates(body: bytes) -> bytes | None:
    r"""Puts U+FFFD where a client cut an emoji in half and sent `\ud83d` alone, as Ollama's parser does.

    None if there is none of that, or the body is not to be searched.
    """
    if body.count(b"\\") > MAX_ESCAPES:
        return None
    # Escaped backslashes are written in the other way first, so that every backslash begins an escape.
    repaired, found = _LONE_SURROGATE.subn(rb"\\ufffd", body.replace(rb"\\", rb"\u005c"))
    return repaired if found else None


def _explain(error: ValidationError, at: str) -> str:
    """msgspec's "Expected `str`, got `int` - at `$.model`" as "model: expected str, got int"."""
    what, _, where = str(error).replace("`", "").partition(" - at $")
    place = f"{at}{where}".lstrip(".") or "the request body"
    return f"{place}: {what[:1].lower()}{what[1:]}"
