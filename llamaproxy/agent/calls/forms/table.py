"""The marks themselves, by the families of models that write them: those of calls, and those of what is none.

`<tool_call>` is most models' mark, with whatever body; so a row reads every body, but for those that have one of their
own.
"""

from collections.abc import Iterable

from msgspec import Struct

from . import readers
from .readers import BAR, Reader


class Form(Struct, frozen=True, kw_only=True):
    """One way to mark a call.

    A block begins with one of `openers`. It ends with one of `closers`, or, if it holds an object, with that. What of
    `trailers` follows then belongs to it, too. `inner` are marks before its object. The text of an `entire` block is
    read with its marks. A `raw` one has no quotes that tell what stands in a text. `weak` marks are used for other
    things as well, so they must hold calls of tools that there are; elsewhere an unknown name is worth an error to the
    model.
    """

    family: str
    openers: tuple[str, ...]
    closers: tuple[str, ...] = ()
    trailers: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    read: Reader = readers.body
    entire: bool = False
    raw: bool = False
    weak: bool = False


class Zone(Struct, frozen=True):
    """A stretch of text in which nothing is a call."""

    opener: str
    closer: str


def _tag(family: str, *names: str, weak: bool = False) -> Form:
    """A form between tags as in HTML."""
    openers, closers = tuple(f"<{name}>" for name in names), tuple(f"</{name}>" for name in names)
    return Form(family=family, openers=openers, closers=closers, weak=weak)


def _deepseek(words: str) -> tuple[str, ...]:
    """DeepSeek's mark, also as it is written where its signs are missing."""
    return tuple(f"<{bar}{words.replace(' ', space)}{bar}>" for bar in (BAR, "|") for space in "▁_ ")


_CALL = rf"<[{BAR}|]tool[▁_ ]call[▁_ ]begin[{BAR}|]>\s*"
_SEPARATOR = rf"\s*<[{BAR}|]tool[▁_ ]sep[{BAR}|]>\s*"
_deepseek_call = readers.after(
    rf"{_CALL}(?:function{_SEPARATOR})?([^\s<`{{]{{1,200}})(?:{_SEPARATOR})?\s*(?=[`{{])"
)
_kimi_call = readers.after(
    r"<\|tool_call_begin\|>\s*([\w.:/-]{1,200})\s*<\|tool_call_argument_begin\|>\s*(?=\{)"
)

FORMS: tuple[Form, ...] = (
    _tag("Hermes, Qwen, GLM, Granite 4 and most others", "tool_call"),
    Form(
        family="Llama 3, Functionary; Qwen3-Coder, which may leave its first tag out",
        openers=("<function=", "<function name="),
        closers=("</function>",),
        trailers=("</tool_call>",),
        read=readers.tags,
        entire=True,
    ),
    Form(
        family="Llama 3.1 and 4",
        openers=("<|python_tag|>", "<|python_start|>"),
        closers=("<|python_end|>", "<|eom_id|>", "<|eot_id|>"),
    ),
    Form(
        family="Mistral",
        openers=("[TOOL_CALLS]",),
        closers=("[/TOOL_CALLS]", "</s>"),
        inner=("[ARGS]", "[CALL_ID]"),
        read=readers.mistral,
    ),
    Form(
        family="DeepSeek V3, R1 and V3.1; Step 3",
        openers=(*_deepseek("tool calls begin"), *_deepseek("tool calls")),
        closers=_deepseek("tool calls end"),
        read=readers.first_of(_deepseek_call, readers.tags),
        entire=True,
        raw=True,
    ),
    Form(
        family="DeepSeek and Kimi without the marks around all calls",
        openers=_deepseek("tool call begin"),
        closers=_deepseek("tool call end"),
        trailers=(*_deepseek("tool calls end"), "<|tool_calls_section_end|>"),
        read=readers.first_of(_kimi_call, _deepseek_call),
        entire=True,
        raw=True,
    ),
    Form(
        family="DeepSeek V3.2",
        openers=(f"<{BAR}DSML{BAR}function_calls>", f"<{BAR}DSML{BAR}tool_calls>"),
        closers=(f"</{BAR}DSML{BAR}function_calls>", f"</{BAR}DSML{BAR}tool_calls>"),
        raw=True,
    ),
    Form(
        family="Kimi K2",
        openers=("<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"),
        closers=("<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
        read=_kimi_call,
        raw=True,
    ),
    _tag("MiniMax M2", "minimax:tool_call"),
    _tag("MiniMax M1, Jamba, Hunyuan", "tool_calls"),
    _tag("Claude's examples, OLMo 3", "function_calls", "antml:function_calls"),
    Form(
        family="the same without the tags around all calls",
        openers=("<invoke name=", "<antml:invoke name="),
        closers=("</invoke>", "</antml:invoke>"),
        read=readers.tags,
        entire=True,
    ),
    Form(
        family="Granite 3, Phi-4 mini",
        openers=("<|tool_call|>", "<|tool_calls|>"),
        closers=("<|/tool_call|>", "<|/tool_calls|>", "<|end_of_text|>"),
    ),
    _tag("Granite 20B, Gemma in some templates", "function_call"),
    Form(
        family="FunctionGemma",
        openers=("<start_function_call>",),
        closers=("<end_function_call>",),
        read=readers.gemma,
        raw=True,
    ),
    Form(
        family="Gemma 4",
        openers=("<|tool_call>",),
        closers=("<tool_call|>",),
        read=readers.gemma,
        raw=True,
    ),
    Form(family="Command R7B and A", openers=("<|START_ACTION|>",), closers=("<|END_ACTION|>",)),
    Form(
        family="harmony (gpt-oss)",
        openers=(
            "<|start|>assistant to=",
            *(f"{start}<|channel|>commentary to=" for start in ("", "<|start|>assistant")),
            *(f"{start}<|channel|>analysis to=" for start in ("", "<|start|>assistant")),
        ),
        closers=("<|call|>", "<|end|>"),
        read=readers.after(r"to=([\w.-]{1,200})[^{]{0,100}?<\|message\|>\s*(?=\{)"),
        entire=True,
        raw=True,
    ),
    Form(family="LFM2, MiniCPM", openers=("<|tool_call_start|>",), closers=("<|tool_call_end|>",)),
    _tag("Seed-OSS", "seed:tool_call"),
    Form(
        family="InternLM",
        openers=("<|action_start|><|plugin|>", "<|action_start|> <|plugin|>"),
        closers=("<|action_end|>",),
    ),
    _tag("Nemotron", "TOOLCALL"),
    Form(family="Apertus", openers=("<|tools_prefix|>",), closers=("<|tools_suffix|>",)),
    Form(
        family="Solar",
        openers=("<|tool_calls:begin|>", "<|tool_call:begin|>"),
        closers=("<|tool_calls:end|>",),
        read=readers.after(r"<\|tool_call:name\|>\s*([\w.-]{1,200})\s*<\|tool_call:args\|>\s*(?=\{)"),
        entire=True,
        raw=True,
    ),
    Form(family="LM Studio", openers=("[TOOL_REQUEST]",), closers=("[END_TOOL_REQUEST]",)),
    _tag("LongCat", "longcat_tool_call"),
    Form(family="Pangu", openers=("[unused11]",), closers=("[unused12]",), weak=True),
    Form(family="Gorilla", openers=("<<function>>",), weak=True),
    _tag("small models that mix tags up", "tool", "tools", "tool_code", "json", weak=True),
)

THOUGHTS: tuple[Zone, ...] = (
    *(
        Zone(f"<{name}>", f"</{name}>")
        for name in (
            "think",
            "thinking",
            "thought",
            "thoughts",
            "reasoning",
            "reflection",
            "scratchpad",
            "scratch_pad",
            "seed:think",
            "mm:think",
            "antml:thinking",
        )
    ),
    Zone("[THINK]", "[/THINK]"),
    Zone("<|START_THINKING|>", "<|END_THINKING|>"),
    Zone("<|begin_of_thought|>", "<|end_of_thought|>"),
    Zone("<|inner_prefix|>", "<|inner_suffix|>"),
    Zone("<|channel>thought", "<channel|>"),
    Zone("<unused94>", "<unused95>"),
    Zone("<|channel|>analysis<|message|>", "<|end|>"),
)

QUOTES: tuple[Zone, ...] = (
    *(Zone(f"<{name}>", f"</{name}>") for name in ("code", "pre", "example")),
    Zone("<!--", "-->"),
)

# Where a thought ends that began in the prompt: all before it was one.
ENDS_OF_THOUGHTS = frozenset(zone.closer for zone in THOUGHTS) - {"<|end|>"}


def by_opener(
    forms: Iterable[Form] = FORMS, zones: Iterable[Zone] = (*THOUGHTS, *QUOTES)
) -> dict[str, Form | Zone]:
    """What each mark begins."""
    found: dict[str, Form | Zone] = {opener: form for form in forms for opener in form.openers}
    return found | {zone.opener: zone for zone in zones}
