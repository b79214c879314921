"""What refusals of any vendor teach: one rule for each kind of thing that servers refuse.

A rule reads all that a server said. Words differ from vendor to vendor, so each looks for the thing's name and a few
words around it; a rule that is wrong costs one more refusal, since `Pupil` forgets what did not help.
"""

import re
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from .efforts import COMMON, LADDER
from .lessons import Body, Learned, Lessons
from .tools import mark

_TOKENS = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_NUMBERS = re.compile(r"(?<![\w.-])\d{1,9}(?![\w-]|\.\d)", re.ASCII)
# The field that a refusal blames by itself, as OpenAI has it.
_PARAM = re.compile(r"\bparam: ([A-Za-z_]+)", re.ASCII)
_CALL_IDS = re.compile(
    r"tool[_ ]?call[_ ]?ids?\b|tool_calls[\[.]\d+[\].]*id\b|tool_use[_.`]*id\b", re.IGNORECASE
)
_WANTED = re.compile(r"must|missing|required|provide|pass(?:ed)? back|include|expected|need", re.IGNORECASE)
_REASONING = re.compile(r"reasoning[_ ]content", re.IGNORECASE)
_SIGNATURE = re.compile(r"thought[_ ]?signature", re.IGNORECASE)
_SIGNED = re.compile(r"signature|thinking.{0,20}blocks?|encrypted", re.IGNORECASE)
_MANY = re.compile(
    r"too (?:many|long|large)|at most|maximum|exceed|more than|limit|up to|less than|greater than|below|<=?|>=?",
    re.IGNORECASE,
)
_ABOUT_TOOLS = re.compile(r"tools?\b|functions?\b|schemas?\b|declarations?\b", re.IGNORECASE)
_TOOL_PLACE = re.compile(r"(?:function_?declarations|tools)[\[.](\d{1,6})", re.IGNORECASE)
_NO_TOOLS = re.compile(
    r"(?:not|n't|no endpoints[^\n]{0,30}) support[^\n]{0,40}(?:tool|function)"
    r"|(?:tool|function)[^\n]{0,40}(?:not supported|unsupported|not allowed|not available|not enabled)"
    r"|enable-auto-tool-choice|requires --jinja",
    re.IGNORECASE,
)
_NEEDS_TOOLS = re.compile(
    r"toolconfig|(?:must|expects?|requires?|need)[^\n]{0,40}\btools?\b|\btools?\b[^\n]{0,40}(?:required|must)",
    re.IGNORECASE,
)
_NO_SYSTEM = re.compile(
    r"system[^\n]{0,30}(?:not supported|unsupported|not allowed|not enabled)|not support[^\n]{0,20}['\"`]?system"
    r"|(?:developer|system) instruction|roles must alternate",
    re.IGNORECASE,
)
_IMAGES = re.compile(r"\bimages?\b|image_url|\bvision\b|multi-?modal|mmproj", re.IGNORECASE)
# A picture that is too large, or broken, is no reason to send no other.
_BLIND = re.compile(
    r"support|unknown variant|text|accept|endpoints|multi-?modal|mmproj|must be a string", re.IGNORECASE
)
_NULL = re.compile(
    r"\bnull\b|\bnil\b|\bnone\b|nonetype|must be (?:a )?string|valid string|field required", re.IGNORECASE
)
_FORM = re.compile(
    r"response[_ ](?:format|mime|schema)|json[_ ](?:schema|object|mode)|structured[_ ]output|output_config"
    r"|\bformat\b|grammar",
    re.IGNORECASE,
)
_OF_THE_PROMPT = re.compile(r"context[ _](?:length|window|limit)|\d > \d+ - \d", re.IGNORECASE)
# It is this schema that is refused, and not schemas.
_ONE_SCHEMA = re.compile(
    r"invalid (?:json )?schema|schema for response_format|in context=|schema[^\n]{0,30}(?:invalid|not valid|conversion)"
    r"|(?:parse|compile|convert)[^\n]{0,30}(?:schema|grammar)|schema contains|unsupported (?:json )?schema"
    r"|additionalproperties",
    re.IGNORECASE,
)
# `stop` is a word of the language as well.
_STOP = re.compile(
    r"['\"`:]\s?stop\b(?!\s\w)|\bstop['\"`]|stop_?(?:sequences?|words?)|stop (?:sequence|word|parameter|token)"
    r"|param: stop\b|^stop: |\bstop (?:is|are) (?:not |un)|support(?:s|ed)? (?:the )?(?:parameter )?stop\b"
    r"|(?:supported|permitted|parameter|argument|field)[^\n]{0,30}: ?stop\b",
    re.IGNORECASE,
)
_NEVER_LEFT_OUT = frozenset({"model", "messages", "stream", "tools", "system", "options", "max_tokens"})
# Under what other word a field is blamed.
_ALSO = {"think": "thinking", "format": "grammar"}
_STOPS = ("stop", "stop_sequences")
_LIMITS = ("max_tokens", "max_completion_tokens")


def call_ids(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Mistral's ids have nine letters and digits."""
    if not lessons.short_ids and _has_calls(body) and _CALL_IDS.search(said):
        return Learned(replace(lessons, short_ids=True), "calls get ids of nine letters and digits")
    return None


def extras(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """What a server added to a message: it is wanted back, or refused as a field that is not known."""
    if _REASONING.search(said) and _WANTED.search(said) and not lessons.reasoning and not _is_unknown(said):
        return Learned(replace(lessons, reasoning=True), "wants reasoning_content with its messages")
    if _SIGNATURE.search(said) and not lessons.signatures:
        return Learned(replace(lessons, signatures=True), "wants a thought_signature with its calls")
    words = set(_TOKENS.findall(said))
    fields = {name for message in body["messages"] if message["role"] == "assistant" for name in message}
    fields |= {
        name for message in body["messages"] for call in message.get("tool_calls") or () for name in call
    }
    known = {"role", "content", "tool_calls", "id", "type", "function"}
    if refused := (fields - known - lessons.without) & words:
        without = lessons.without | refused
        return Learned(replace(lessons, without=without), f"takes no {_listed(refused)} in messages")
    return None


def stale(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """What the server added itself is not what it takes back: of another time, or for another model."""
    if lessons.no_extras or not _SIGNED.search(said):
        return None
    return Learned(
        replace(lessons, no_extras=True), "its own thoughts are not sent back in this conversation"
    )


def tools(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """One that is refused goes; too many are fewer; if none is taken, the model is told of them in words."""
    offered = [_made(tool) for tool in body.get("tools", ())]
    if not offered or not _ABOUT_TOOLS.search(said):
        return None
    places = [int(place) for place in _TOOL_PLACE.findall(said)]
    most = max((n for n in _numbers(said) if 0 < n < len(offered)), default=0)
    if not places and most and _MANY.search(said):
        return Learned(replace(lessons, most_tools=most), f"takes {most} tools")
    if _NO_TOOLS.search(said):
        return Learned(replace(lessons, tools_in_words=True), "takes no tools; it is told of them in words")
    words = set(_TOKENS.findall(said))
    named = [tool for tool in offered if tool and tool["name"] in words]
    # Gemini counts the declarations inside of its one tool, and names that first.
    named = named or [offered[place] for place in places[-1:] if place < len(offered) and offered[place]]
    if named:
        out = lessons.tools_out | {mark(tool) for tool in named}
        note = f"refuses {_listed(tool['name'] for tool in named)}, which is left out"
        return Learned(replace(lessons, tools_out=out), note)
    return None


def all_tools(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Tools are refused without a word on which: with plain schemas, then in words. The last rule to be tried."""
    if not body.get("tools") or not (_ABOUT_TOOLS.search(said) or "grammar" in said):
        return None
    if not lessons.tools_plain:
        return Learned(replace(lessons, tools_plain=True), "is told of tools in plain schemas")
    return Learned(replace(lessons, tools_in_words=True), "takes no tools; it is told of them in words")


def missing_tools(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Some want definitions beside the calls of the history, also where no tool is to be called any more."""
    if body.get("tools") or not _has_calls(body) or not _NEEDS_TOOLS.search(said):
        return None
    return Learned(replace(lessons, stand_ins=True), "wants tools beside the calls of a conversation")


def system(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Some templates have no place for a system message."""
    messages = body["messages"]
    if messages and messages[0]["role"] == "system" and _NO_SYSTEM.search(said):
        return Learned(
            replace(lessons, no_system=True), "takes no system message; it goes with the user's first"
        )
    return None


def images(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """A model that cannot see can still read the rest."""
    if not lessons.no_images and _has_images(body) and _IMAGES.search(said) and _BLIND.search(said):
        return Learned(replace(lessons, no_images=True), "takes no pictures; they are left out")
    return None


def nulls(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Some want a text beside calls, even an empty one."""
    if any(message.get("content", "") is None for message in body["messages"]) and (
        "content" in said and _NULL.search(said)
    ):
        return Learned(replace(lessons, no_null=True), "wants an empty text instead of null")
    return None


def limit(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """The longest answer: by another name, or within other bounds, or not at all."""
    name = next((name for name in _LIMITS if name in body), None)
    if name is None or not any(word in said for word in (*_LIMITS, "max_output_tokens", "completion tokens")):
        return None
    asked = body[name]
    if _OF_THE_PROMPT.search(said) and isinstance(asked, int):
        note = f"has no room for an answer of {asked} tokens, and is asked without a limit then"
        return Learned(replace(lessons, unlimited=asked), note)
    if _MANY.search(said) and isinstance(asked, int):
        others = [n for n in _numbers(said) if n != asked]
        if below := [n for n in others if 0 < n < asked and n < lessons.most_tokens]:
            most = max(below)
            return Learned(replace(lessons, most_tokens=most), f"answers have at most {most} tokens")
        if above := [n for n in others if n > asked and n > lessons.least_tokens]:
            least = min(above)
            return Learned(replace(lessons, least_tokens=least), f"a limit for answers is at least {least}")
    if name not in lessons.limits:
        return None
    left = tuple(each for each in lessons.limits if each != name)
    note = f"takes no {name}; " + (f"{left[0]} is sent instead" if left else "answers have no limit")
    return Learned(replace(lessons, limits=left), note)


def effort(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """The nearest effort among those that the refusal names, else among the common ones, else none."""
    asked = effort_in(body)
    words = {word.lower() for word in _TOKENS.findall(said)}
    if asked is None or not (asked in words or "effort" in said or "think value" in said):
        return None
    known = frozenset(step for step in LADDER if step in words and step != asked)
    if not known and asked in words and asked not in COMMON:
        known = COMMON
    if not known and lessons.efforts == frozenset():
        return None
    note = f"knows the efforts {_listed(known)}" if known else f"does not know the effort {asked}"
    return Learned(replace(lessons, efforts=known), note)


def form(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """JSON is asked for in another form, or in words."""
    if not _FORM.search(said):
        return None
    asked = form_in(body)
    if asked is None:
        return None
    if asked == "json_schema" and _ONE_SCHEMA.search(said):
        return Learned(replace(lessons, no_schema=True), "does not take this schema; it is told in words")
    left = lessons.forms - {asked}
    return Learned(replace(lessons, forms=left), f"takes no {asked}; answers are asked for otherwise")


def field(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Any other field that a refusal names."""
    words = set(_TOKENS.findall(said))
    optional = [name for name in body if name not in _NEVER_LEFT_OUT]
    blamed = {name for name in optional if words & {name, _ALSO.get(name)} and name not in _STOPS}
    blamed |= {name for name in _STOPS if name in body and _STOP.search(said)}
    if (param := _PARAM.search(said)) and param[1] in optional:
        blamed = {param[1]}
    if {"temperature", "top_p"} <= blamed and "both" in words:
        blamed.discard("temperature")
    if not blamed:
        return None
    return Learned(replace(lessons, without=lessons.without | blamed), f"takes no {_listed(blamed)}")


def adaptive(said: str, body: Body, lessons: Lessons) -> Learned | None:
    """Models that are too old for adaptive thinking get a budget."""
    if (body.get("thinking") or {}).get("type") != "adaptive" or "adaptive" not in said:
        return None
    return Learned(replace(lessons, by_budget=True), "knows no adaptive thinking; it gets a budget")


def effort_in(body: Body) -> str | None:
    """The effort that a request asks for, wherever its format has it."""
    found = (
        body.get("reasoning_effort") or body.get("think") or (body.get("output_config") or {}).get("effort")
    )
    return found if isinstance(found, str) else None


def form_in(body: Body) -> str | None:
    """The form of JSON that a request asks for, in OpenAI's words."""
    if "response_format" in body:
        return str(body["response_format"].get("type"))
    asked = body.get("format") or (body.get("output_config") or {}).get("format")
    if not asked:
        return None
    return "json_object" if asked == "json" else "json_schema"


def _made(tool: dict[str, Any]) -> dict[str, Any]:
    """A definition in a request as `Offer` made it; empty for one that an operator wrote into the entry."""
    tool = tool.get("function", tool)
    schema = tool.get("parameters") or tool.get("input_schema")
    if schema is None or "name" not in tool:
        return {}
    return {"name": tool["name"], "description": tool.get("description", ""), "parameters": schema}


def _is_unknown(said: str) -> bool:
    return (
        re.search(r"not permitted|unsupported|unknown|unrecognized|unexpected|not allowed", said, re.I)
        is not None
    )


def _numbers(said: str) -> list[int]:
    return [int(number) for number in _NUMBERS.findall(said)]


def _has_calls(body: Body) -> bool:
    return any(message.get("tool_calls") or message["role"] == "tool" for message in body["messages"])


def _has_images(body: Body) -> bool:
    return any(
        message.get("images")
        or (
            isinstance(message.get("content"), list)
            and any(part.get("type") in ("image_url", "image") for part in message["content"])
        )
        for message in body["messages"]
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


OPENAI = (
    call_ids,
    extras,
    stale,
    images,
    effort,
    form,
    tools,
    missing_tools,
    system,
    nulls,
    limit,
    field,
    all_tools,
)
OLLAMA = (extras, stale, images, effort, form, tools, field, all_tools)
ANTHROPIC = (adaptive, stale, images, effort, form, tools, limit, field, all_tools)
