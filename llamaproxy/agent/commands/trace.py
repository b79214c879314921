"""The command that tells what happened in the last turn."""

from ...seams.telling import lines_of
from .table import Call, command


@command("trace", summary="what happened in the last turn: times, model, tools, how it ended")
async def trace(call: Call) -> str:
    """Tells it in ten lines."""
    record = call.recorder.last(call.session.session_id)
    return "\n".join(lines_of(record)) if record else "No turn of this session is on record yet."
