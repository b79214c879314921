"""Names of environment variables, and the keys that people type where such a name belongs."""

import re

# What a shell takes for a name.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# What people take for one: words of one kind of letters. Nearly all keys have both kinds, or one long word.
_LIKELY = re.compile(r"_?[A-Z][A-Z0-9]{0,15}(_[A-Z0-9]{1,16}){0,8}_?|_?[a-z]{1,16}(_[a-z]{1,16}){0,8}_?")

# How the keys of the known services begin, and what no name of anything looks like: a long run of mixed letters and
# digits.
_SECRET = re.compile(
    r"(?:Bearer\s+)?(?:(?:sk-|sk_|gsk_|xai-|AIza|hf_|pplx-|r8_|ghp_|tvly-)\S{12,}"
    r"|(?P<run>[A-Za-z0-9]{24,}))"
)


def is_secret(text: str) -> bool:
    """Whether it is a key beyond doubt, wherever it stands."""
    found = _SECRET.fullmatch(text.strip())
    if found is None or _LIKELY.fullmatch(text) is not None:
        return False
    run = found["run"]
    return run is None or all(any(map(kind, run)) for kind in (str.islower, str.isupper, str.isdigit))


def is_name(text: str) -> bool:
    """Whether it can be the name of a variable."""
    return _NAME.fullmatch(text) is not None


def is_key_like(text: str) -> bool:
    """Whether it is a key beyond doubt, although it could be a name: long, of mixed letters, with digits among them."""
    mixed = any(map(str.isdigit, text)) and any(map(str.islower, text))
    return len(text) >= 20 and mixed and _LIKELY.fullmatch(text) is None


def shown_name(text: str) -> str:
    """The name of a variable, for a message; of what may be a key nothing is shown."""
    return (
        text
        if _LIKELY.fullmatch(text)
        else "whose name belongs into env_key (what stands there may be a key)"
    )
