"""Commands about models and the prompt they get."""

from collections.abc import Sequence

from ..history import window
from ..types import ModelInfo
from .table import Call, UsageError, command


@command("model", "[key]", summary="list the models, or choose one for this session")
async def model(call: Call) -> str:
    """Shows or sets the session's active model; setting it ends the turn that runs."""
    key = call.argument
    if not key:
        return "Models:\n" + _listing(call.agent.models(), call.session.model)
    if key not in call.agent.backends:
        return f"Unknown model '{key}'. Models:\n" + _listing(call.agent.models(), call.session.model)
    running = call.session.running
    if running is not None and running is not call.turn:
        running.stop()
    call.session.model = key
    await call.agent.store.save_settings(call.session.session_id, key, call.session.settings)
    kept = window(call.session.messages, call.agent.conversation.message_limit(key))
    gone = len(call.session.messages) - len(kept)
    return f"Model: {key}" + (f" ({gone} older messages do not fit its window)" if gone else "")


def _listing(models: Sequence[ModelInfo], current: str) -> str:
    return "\n".join(
        f"{'*' if info.key == current else '-'} {info.key} ({info.model_id})"
        + (f": {info.description}" if info.description else "")
        for info in models
    )


@command("sysprompt", "[reload]", summary="show the system prompt, or read its files again")
async def sysprompt(call: Call) -> str:
    """Shows the assembled prompt of the session's model."""
    if call.argument.lower() == "reload":
        call.agent.prompts.reload()
        prompt = await call.agent.conversation.system_prompt(call.session.model)
        return f"System prompt read again: {len(prompt.content)} characters."
    if call.argument:
        raise UsageError(f"'{call.argument}' is not something that !sysprompt does.")
    return (await call.agent.conversation.system_prompt(call.session.model)).content
