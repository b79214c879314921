"""Reading what clients send, as tolerantly as their variety asks; what makes no sense is a `BadRequest`.

The client's history is skipped over, not decoded: only the last user message counts, so a long chat full of
pictures costs one scan of its bytes.
"""

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from ..seams.errors import BadRequest
from ..seams.types import ChatTurn, Image, Material, Message, Options, Unanswered
from . import provenance
from .body import Name, decode
from .content import Said, plain_text, read_said
from .options import PLAIN
from .pictures import pictures
from .trail import read_trail

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})

# How qwen-code asks for the rest of an answer whose stream was cut, and how far into the content that is.
_GO_ON, _NEAR = b"The connection dropped mid-response.", 200

_NULL = Raw(b"null")


class WireMessage(Struct):
    """One entry of `messages`; `content` and `images` (Ollama's) are decoded for the turn's message only.

    The others are those of a tool's result. `role` is in lower case once it is known to be one (`know_roles`).
    """

    role: Name
    content: Raw = _NULL
    images: Raw = _NULL
    tool_call_id: Raw = _NULL
    tool_name: Raw = _NULL
    name: Raw = _NULL


_images: Decoder[list[str] | None] = Decoder(list[str] | None)


def last_user_turn(
    messages: Sequence[WireMessage], options: Options = PLAIN, field: str = "messages"
) -> ChatTurn:
    """What the user says last; an answer may follow it, as when an app has the assistant continue.

    Messages without an answer between them belong together: an app whose first message found no server, or that puts
    one of its own before the user's. `field` is what the list is called in errors.
    """
    know_roles(messages, field)
    if len(messages) > 1 and is_wish_to_go_on(messages[-1]):
        messages = messages[:-1]
    newest = messages[-1]
    text = plain_text(newest.content) if newest.role == "user" and newest.images is _NULL else ""
    trail = read_trail(messages, text)
    if text and len(trail.steps) == 1:
        return ChatTurn(text=text, options=options, trail=trail.places, shown=trail.shown)
    if not trail.steps:
        raise BadRequest(f"{field}: there is no user message")
    last = trail.steps[-1].index
    typed: list[Unanswered] = []
    pieces = 0
    material: list[Material] = []
    images: list[Image] = []
    for step in trail.steps:
        try:
            said, shown = _said(messages[step.index], f"{field}[{step.index}]")
        except BadRequest:
            # Of an earlier one the app was told when it was sent, and goes on showing it.
            if step.index == last:
                raise
            continue
        heard = _runs(said, step.places)
        typed += heard
        pieces = said.pieces if heard else pieces
        material += said.material
        images += shown
    if not (typed or images or material):
        raise BadRequest(f"{field}[{last}].content: the message is empty")
    return ChatTurn(
        text=typed[-1].text if typed else "",
        material=tuple(material),
        commandable=pieces <= 1,
        unanswered=tuple(typed[:-1]),
        images=tuple(images),
        options=options,
        trail=trail.places,
        shown=trail.shown,
    )


def know_roles(messages: Sequence[WireMessage], field: str) -> None:
    """Has all roles in lower case. Raises `BadRequest` for one that nobody has."""
    for index, message in enumerate(messages):
        if message.role not in _ROLES:
            role = message.role.lower()
            if role not in _ROLES:
                raise BadRequest(f"{field}[{index}].role: unknown role '{message.role}'")
            message.role = role


def is_wish_to_go_on(message: WireMessage) -> bool:
    """Whether a message is an app's own, behind an answer that broke off, and wants no more than the rest of it."""
    if message.role != "user" or _GO_ON not in bytes(message.content)[:_NEAR]:
        return False
    try:
        return read_said(message.content, "").whole.startswith(_GO_ON.decode())
    except BadRequest:
        return False


def _runs(said: Said, places: Sequence[str]) -> list[Unanswered]:
    """What a message says, with the places behind it: several where its history has them apart as well."""
    runs = said.runs if len(said.runs) == len(places) else ["\n".join(said.runs)]
    return [
        Unanswered(text, place)
        for text, place in zip(runs, places[-len(runs) :], strict=True)
        if text.strip()
    ]


def turn_or_results(
    messages: Sequence[WireMessage], options: Options, field: str = "messages"
) -> tuple[ChatTurn, BadRequest | None]:
    """As `last_user_turn`; where the app sends nothing but results of its tools, a turn of nothing, with what is wrong
    about that if they are not looked at.
    """
    try:
        return last_user_turn(messages, options, field), None
    except BadRequest as problem:
        for message in messages:
            message.role = message.role.lower()
        if messages[-1].role != "tool" or any(message.role == "user" for message in messages):
            raise
        return ChatTurn(text="", options=options), problem


def _said(message: WireMessage, at: str) -> tuple[Said, Sequence[Image]]:
    said = read_said(message.content, f"{at}.content")
    if message.images is _NULL:
        return said, said.images
    sent = decode(message.images, _images, f"{at}.images") or ()
    return said, [*said.images, *pictures(sent, f"{at}.images")]


def size_of(message: WireMessage, at: str) -> Message:
    """The message in full, so that its tokens can be estimated.

    What nobody here has to understand counts as it came: what the model said, and what only the history holds.
    """
    try:
        said = read_said(message.content, f"{at}.content")
    except BadRequest:
        return Message(role="assistant", content=bytes(message.content).decode())
    if message.role == "assistant":
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


def turn_of(text: str, options: Options, images: tuple[Image, ...] = ()) -> ChatTurn:
    """The turn that a bare prompt is."""
    own, material = provenance.sort([text])
    return ChatTurn(text="\n".join(own), material=tuple(material), images=images, options=options)


def without_results(turn: ChatTurn) -> ChatTurn:
    """The turn without results of the app's tools as its material, as they are answers to calls."""
    return replace(turn, material=tuple(each for each in turn.material if each.what != provenance.RESULT))


def from_command_line(turn: ChatTurn, marks: Literal["quotes", "pipe first"]) -> ChatTurn:
    """The turn of a client that joins its user's words and what came through a pipe, told apart again."""
    apart = provenance.unquoted if marks == "quotes" else provenance.unpiped
    text, material = apart(turn.text)
    return replace(turn, text=text, material=(*turn.material, *material))
