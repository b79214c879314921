"""How much a model is to think: words of many apps, and the nearest word that a server knows."""

from collections.abc import Collection

# From little to much.
LADDER = ("minimal", "low", "medium", "high", "xhigh", "max")
# What every server with efforts knows.
COMMON = frozenset({"low", "medium", "high"})

_OFF = frozenset({"none", "off", "false", "no", "disable", "disabled", "0"})
_ON = frozenset({"on", "true", "yes", "enable", "enabled", "auto", "adaptive", "dynamic", "default", "1"})
_OTHER = {"min": "minimal", "lowest": "minimal", "mid": "medium", "normal": "medium", "extra_high": "xhigh",
          "extra-high": "xhigh", "x-high": "xhigh", "maximum": "max", "highest": "max", "ultra": "max"}  # fmt: skip


def wished(think: bool | str | None) -> bool | str | None:
    """What an app means: off, on, a step of the `LADDER`, or nothing that anybody could tell."""
    if not isinstance(think, str):
        return think
    word = think.strip().lower()
    if word in _OFF:
        return False
    if word in _ON:
        return True
    word = _OTHER.get(word, word)
    return word if word in LADDER else None


def nearest(effort: str, known: Collection[str]) -> str | None:
    """The step that is nearest to `effort` among those that are `known`; of two, the one with less thought."""
    wanted = LADDER.index(effort)
    steps = [step for step in LADDER if step in known]
    return min(steps, key=lambda step: abs(LADDER.index(step) - wanted), default=None)
