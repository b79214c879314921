"""Commands about what the chat shows of tools; they are kept with the session."""

from ..calls.display import PREVIEW_LENGTH, STREAM, SUPPRESS
from .table import Call, command, required_truth, whole_number

LONGEST_PREVIEW = 1_000_000


@command(
    "tool_preview_length", "[n]", summary="how much of a tool's result is shown, 0 for all", group="Tools"
)
async def tool_preview_length(call: Call) -> str:
    """Shows or sets the length in characters; -1 stands for all, too."""
    if call.argument:
        length = 0 if call.argument == "-1" else whole_number(call.argument, 0, LONGEST_PREVIEW)
        call.session.settings[PREVIEW_LENGTH] = length
        await call.save()
    length = call.session.settings.get(PREVIEW_LENGTH, call.limits.display[PREVIEW_LENGTH])
    return f"Shown of a tool's result: {f'{length} characters' if length > 0 else 'all of it'}"


@command("tool_suppress", "[bool]", summary="hide what tools do, show answers only", group="Tools")
async def tool_suppress(call: Call) -> str:
    """Shows or sets whether tags and previews are hidden."""
    if call.argument:
        call.session.settings[SUPPRESS] = required_truth(call.argument)
        await call.save()
    hidden = call.session.settings.get(SUPPRESS, call.limits.display[SUPPRESS])
    return f"Tool tags are {'hidden' if hidden else 'shown'}."


@command("stream", "[bool]", summary="show what a called agent says while it says it", group="Tools")
async def stream(call: Call) -> str:
    """Shows or sets whether an agent's words are shown as they come, beside the answer."""
    if call.argument:
        call.session.settings[STREAM] = required_truth(call.argument)
        await call.save()
    live = call.session.settings.get(STREAM, call.limits.display[STREAM])
    return f"What a called agent says is shown {'as it comes' if live else 'when it has answered'}."
