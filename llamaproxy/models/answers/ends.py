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
        "error_limit",
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
        "guardrail",
        "guardrails",
        "guardrail_intervened",
        "blocked",
        "moderation",
        "image_prohibited_content",
        "error_toxic",
        "toxic",
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
    "malformed_tool_call",
    "unexpected_tool_call",
    "missing_thought_signature",
    "network_error",
    "server_error",
    "timeout",
)


def finish_of(who: str, reason: str) -> Finish:
    """What `reason` means; a word that nobody knows is an ordinary end.

    Raises `ModelError` where it means that the server gave the answer up.
    """
    if reason == "stop" or reason in _FINISH:
        return _FINISH.get(reason, "stop")
    said = reason.strip().lower()
    # Gemini's compatible endpoint has "content_filter: PROHIBITED_CONTENT", also "function_call_filter: ...".
    words = [said, *(word.strip() for word in reversed(said.split(":", 1)))]
    if any(word in _BROKEN for word in words):
        raise ModelError(f"{who} gave its reply up before the end: its server says '{said}'")
    return next((_FINISH[word] for word in words if word in _FINISH), "stop")
