"""Reading what clients send, as tolerantly as their variety asks; what makes no sense is a `BadRequest`.

The client's history is skipped over, not decoded: only the last user message counts, so a long chat full of
pictures costs one scan of its bytes.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder, encode

from ..seams.errors import BadRequest
from ..seams.types import ChatTurn, Image, Message, Options
from .body import Name, decode
from .content import read_said
from .pictures import pictures
from .provenance import own_words, sort

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Of an app's history, how many messages back an edit is followed.
MAX_TRAIL = 64

_NULL = Raw(b"null")
_PLAIN = Options()


class WireMessage(Struct):
    """One entry of `messages`; `content` and `images` (Ollama's) are decoded for the turn's message only."""

    role: Name
    content: Raw = _NULL
    images: Raw = _NULL


class _TextPart(Struct):
    """What `_Part` has to read."""

    text: str | None = None


_texts: Decoder[str | list[_TextPart] | None] = Decoder(str | list[_TextPart] | None)
_images: Decoder[list[str] | None] = Decoder(list[str] | None)


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
    said = read_said(messages[latest].content, f"{at}.content")
    sent = decode(messages[latest].images, _images, f"{at}.images") or ()
    images = (*said.images, *pictures(sent, f"{at}.images"))
    if not said.text.strip() and not images and not said.material:
        raise BadRequest(f"{at}.content: the message is empty")
    return ChatTurn(
        text=said.text,
        material=said.material,
        commandable=said.pieces <= 1,
        images=images,
        options=options,
        trail=_trail(messages),
    )


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
    """The person's words as JSON, which says itself where it ends.

    Pictures are skipped over, a history may be full of them. So is what an app wraps around its newest message only.
    """
    try:
        said = _texts.decode(content)
    except (ValidationError, DecodeError):
        return bytes(content)
    pieces = [said] if isinstance(said, str) else [part.text for part in said or () if part.text]
    return encode("\n".join(filter(None, map(own_words, pieces))))


def size_of(message: WireMessage, at: str) -> Message:
    """The message in full, so that its tokens can be estimated.

    What nobody here has to understand counts as it came: what the model said, and what only the history holds.
    """
    try:
        said = read_said(message.content, f"{at}.content")
    except BadRequest:
        return Message(role="assistant", content=bytes(message.content).decode())
    if message.role.lower() == "assistant":
        return Message(role="assistant", content=bytes(message.content).decode())
    return Message(role="user", content=said.whole, material=said.material, images=said.images)


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


def has_system(messages: Sequence[WireMessage]) -> bool:
    """Whether any of the messages is a system prompt."""
    return any(message.role.lower() in ("system", "developer") for message in messages)


def turn_of(text: str, options: Options, images: tuple[Image, ...] = ()) -> ChatTurn:
    """The turn that a bare prompt is."""
    own, material = sort([text])
    return ChatTurn(text="\n".join(own), material=tuple(material), images=images, options=options)
