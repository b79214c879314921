"""Commands about models."""

from collections.abc import Sequence

from ...seams.types import ModelInfo
from ..sessions.history import window
from .table import Call, command


@command("model", "[key]", summary="list the models, or choose one for this session", group="Models")
async def model(call: Call) -> str:
    """Shows or sets the session's active model; setting it ends the turn that runs."""
    key = call.argument
    if not key:
        return "Models:\n" + _listing(call.backends.infos(), call.session.model)
    if key not in call.backends:
        return f"Unknown model '{key}'. Models:\n" + _listing(call.backends.infos(), call.session.model)
    running = call.session.running
    if running is not None and running is not call.turn:
        running.stop()
    call.session.model = key
    await call.save()
    kept = window(call.session.messages, call.limits.messages(key))
    gone = len(call.session.messages) - len(kept)
    return f"Model: {key}" + (f" ({gone} older messages do not fit its window)" if gone else "")


def _listing(models: Sequence[ModelInfo], current: str) -> str:
    return "\n".join(
        f"{'*' if info.key == current else '-'} {info.key} ({info.model_id})"
        + (f": {info.description}" if info.description else "")
        for info in models
    )
