"""The words that servers have for the end of an answer."""

from ...seams.errors import ModelError
from ...seams.types import Finish

_MEANINGS: dict[Finish, tuple[str, ...]] = {
    "length": (
        "length",
        "max_tokens",
        "max_output_tokens",
        "max_length",
        "token_limit",
        "model_length",
        "model_context_window_exceeded",
        "context_length_exceeded",
        "incomplete",
    ),
    "tool_calls": ("tool_calls", "function_call", "tool_use", "tool_call"),
    "content_filter": (
        "content_filter",
        "content_filtered",
        "sensitive",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "image_safety",
        "language",
        "guardrail_intervened",
        "risk_control",
    ),
    "refusal": ("refusal",),
    "pause_turn": ("pause_turn",),
}
_FINISH = {word: finish for finish, words in _MEANINGS.items() for word in words}
_BROKEN = (
    "abort",
    "aborted",
    "cancel",
    "cancelled",
    "canceled",
    "error",
    "failed",
    "insufficient_system_resource",
    "internal_error",
    "malformed_function_call",
    "network_error",
    "server_error",
    "timeout",
)


def finish_of(who: str, reason: str) -> Finish:
    """What `reason` means; a word that nobody knows is an ordinary end.

    Raises `ModelError` where it means that the server gave the answer up.
    """
    word = reason.strip().lower()
    if word in _BROKEN:
        raise ModelError(f"{who} gave its reply up before the end: its server says '{word}'")
    return _FINISH.get(word, "stop")
