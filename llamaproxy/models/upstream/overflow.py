"""Prompts that are too long: each vendor says so in words of its own, some in a code, some by a status alone."""

import re
from collections.abc import Sequence

# Errors whose words are looked at here end after so many characters.
LONGEST = 4000

# A code, or words that nobody uses for anything else.
_PLAIN = re.compile(
    r"exceed_context_size|context_length_exceeded|context_window_exceeded|model_context_window"
    r"|prompt_tokens_exceeded|tokens_limit_reached|prompt_too_long|input_too_long|token_limit_exceeded"
    r"|context[ _-]?(?:length|size|window|limit)|max(?:imum)?[ _](?:context|prompt|model|input|seq\w{0,6})[ _]len"
    r"|tokens to keep from the initial prompt|keep the first \d+ tokens|mid truncation"
    r"|range of input length|longer than the model|number of tokens allowed"
    r"|(?:reduce|shorten)[^\n]{0,20} (?:length of|your (?:prompt|input|message))|shorter (?:prompt|input|message)"
    r"|\bmax_seq_len|\bmax_model_len|middle-out"
    r"|超长|过长|长度超|超过[^\n]{0,10}(?:长度|上下文|限制)|上下文",
    re.IGNORECASE,
)
# What is too long, and that it is: in either order, near each other.
_WHAT = r"\b(?:prompts?|inputs?|conversation|messages?|tokens?|history|text)\b"
_TOO = r"(?:too (?:long|large|big|many)|exceed|(?:longer|greater|larger) than|over the|must be <|must have less than)"
_NEAR = re.compile(rf"{_WHAT}[^\n]{{0,60}}{_TOO}|{_TOO}[^\n]{{0,40}}{_WHAT}", re.IGNORECASE)
# Where it is something else that is too long, or too much.
_OTHER = re.compile(
    r"per (?:minute|day|hour)|quota|rate[ _]limit|please wait|too many requests|\btools?\b|\bfunctions?\b|tool_call"
    r"|\bid\b|\bname\b|\bfile\b|image[^\n]{0,40}(?:exceed|too|larger)",
    re.IGNORECASE,
)
# The longest answer that was asked for.
_ANSWER = re.compile(
    r"max_(?:completion_|output_)?tokens\W{0,3}(?:or \W?\w{1,30}\W{0,2})?(?:\(\d{1,9}\) )?(?:is |are |value )?"
    r"(?:too (?:large|big|high)|cannot|must|should|exceeds)"
    r"|max_(?:completion_|output_)?tokens: \d{1,9} >",
    re.IGNORECASE,
)
# Limits by the minute that one request alone is over: no patience helps.
_TOO_LARGE = re.compile(r"request too large|reduce the length|tokens must be reduced", re.IGNORECASE)

_NUMBER = r"(\d{1,3}(?:,\d{3})+|\d+)"
_ASKED = re.compile(
    r"(?:requested|resulted in|contains|total length|count \(|count of|too long:|context limit:|\(length"
    rf"|current length is|passed|given:|received|input length|has)[: ]*(?:about |a total of )?{_NUMBER}",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:length(?: is| of(?: only)?)?|tokens allowed \(|tokens limit|exceeds? the limit of|(?<!context )limit(?: is)?"
    rf"|window of|window limit \(|cannot exceed|size:|at most|>|<=|max_seq_len|length \[1,)[: ]*{_NUMBER}",
    re.IGNORECASE,
)
# Of numbers that may be counts of tokens; names of models have some, too.
_ALONE = re.compile(r"(?<![\w.-])(?:\d{1,3}(?:,\d{3})+|\d{3,9})(?![\w-]|\.\d)", re.ASCII)


def is_overflow(signs: Sequence[str], status: int = 0) -> bool:
    """Whether an error means that the prompt is too long. `signs` are its words and codes."""
    said = " ".join(signs)[:LONGEST]
    if status == 429:
        return _TOO_LARGE.search(said) is not None
    if status == 413:
        return True
    if _ANSWER.search(said):
        return False
    if _PLAIN.search(said):
        return True
    return _NEAR.search(said) is not None and not _OTHER.search(said)


def counts(said: str, asked: object = None, limit: object = None) -> tuple[int, int]:
    """The tokens of the prompt and those that fit, each 0 if it is not told; `asked` and `limit` if they are known."""
    said = said[:LONGEST]
    numbers = sorted({_int(number) for number in _ALONE.findall(said)})
    fits = limit if isinstance(limit, int) else _first(_LIMIT, said)
    needs = asked if isinstance(asked, int) else _first(_ASKED, said)
    if len(numbers) == 2 and (not fits or not needs or needs == fits):
        return numbers[1], numbers[0]
    # A number alone is the limit, unless it is a code behind the words.
    if not (fits or needs) and len(numbers) == 1 and not said.endswith(")"):
        fits = numbers[0]
    return needs, fits


def _first(pattern: re.Pattern[str], said: str) -> int:
    found = pattern.search(said)
    return _int(found[1]) if found else 0


def _int(number: str) -> int:
    return int(number.replace(",", ""))
