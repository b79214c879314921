"""A record in words: one line for the log, ten for a person."""

from collections.abc import Sequence
from datetime import datetime

from .records import Attempt, Record, ToolUse
from .visible import visible

# Tools and attempts that are told one by one.
TOLD = 6

ENDINGS = {
    "running": "still runs",
    "done": "done",
    "cut": "cut short",
    "failed": "failed",
    "left": "the client left",
    "stopped": "stopped",
    "asked": "waits for leave",
}


def about(request_id: str) -> str:
    """How a log line begins that is about a request; "" where it is about none."""
    return f"turn {request_id}: " if request_id else ""


def line_of(record: Record) -> str:
    """One line for the log."""
    kind = f"errand ({record.errand})" if record.errand else "turn"
    line = f"{kind} {record.request_id} {record.session_id} {record.model or _commands(record)}"
    if record.alone:
        line += " with nobody listening"
    elif record.joined:
        line += f" goes on from {record.joined}"
    if record.queued >= 0.001:
        line += f" queued {seconds(record.queued)}"
    if record.first is not None:
        line += f" first {seconds(record.first)}"
    line += f" total {seconds(record.seconds)}"
    if record.attempts:
        prompts, answers = record.tokens
        line += f" tokens {prompts}+{answers}"
        if (rate := record.rate) is not None:
            line += f" {rate:.1f}/s"
    if record.pauses:
        line += f" paused {seconds(record.paused)}"
    if record.tools:
        line += " tools " + ",".join(f"{tool.name}:{tool.verdict}" for tool in record.tools[:TOLD])
    return visible(f"{line} {record.end}: {record.reason}" if record.reason else f"{line} {record.end}")


def lines_of(record: Record) -> list[str]:
    """Ten lines, and two more where the words were kept."""
    began = datetime.fromtimestamp(record.began).astimezone()
    rate = f", {record.rate:.1f} tokens/s" if record.rate is not None else ""
    lines = [
        f"{_kind(record)} {record.request_id} at {began:%Y-%m-%d %H:%M:%S}, {_ending(record)}",
        f"Session: {record.session_id}, by {record.named_by}; caller {_caller(record)}",
        f"Client: {_client(record)}",
        f"Queue: waited {seconds(record.queued)}; commands: {_commands(record)}",
        f"Model: {_some([_attempt(each) for each in record.attempts]) or 'none was asked'}",
        f"Prompt: {_prompt(record.attempts)}",
        f"Tools: {_some([_tool(each) for each in record.tools]) or 'none'}",
        f"Reply: {_first(record)}, {record.completion_tokens} tokens{rate}",
        f"Reader: {_pauses(record)}; {_times(record.heartbeats, 'heartbeat')}",
        f"Beside it: {', '.join(record.errands) or 'nothing'}; took {seconds(record.seconds)}",
    ]
    if record.keeps_words:
        lines += [f"Asked: {record.asked}", f"Answered: {record.answered}"]
    return [visible(line) for line in lines]


def seconds(value: float) -> str:
    """A time for a person."""
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"


def _kind(record: Record) -> str:
    return f"Errand ({record.errand})" if record.errand else "Turn"


def _client(record: Record) -> str:
    if record.alone:
        return f"none any more; it was {record.client} at {record.dialect}" if record.client else "none"
    return f"{record.client or 'unknown'} at {record.dialect}, {'streamed' if record.streamed else 'whole'}"


def _first(record: Record) -> str:
    return "nobody listened" if record.alone else f"first piece {_maybe(record.first)}"


def _caller(record: Record) -> str:
    profile = f" (profile {record.profile})" if record.profile else ""
    return (record.caller or record.address) + profile


def _ending(record: Record) -> str:
    ending = ENDINGS[record.end]
    return f"{ending}: {record.reason}" if record.reason else ending


def _commands(record: Record) -> str:
    return " ".join(f"!{name}" for name in record.commands[:TOLD]) or "-"


def _attempt(attempt: Attempt) -> str:
    if attempt.error:
        return f"{attempt.model} failed ({attempt.error})"
    took = "runs" if attempt.seconds is None else f"took {seconds(attempt.seconds)}"
    return f"{attempt.model} {took}, first token {_maybe(attempt.first)}"


def _prompt(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return "none"
    last = attempts[-1]
    about = "" if last.counted else "about "
    left = f", {last.left_out} older ones left out" if last.left_out else ", nothing left out"
    return f"{about}{last.prompt_tokens} tokens, {_times(last.messages, 'message')}{left}, {_times(last.tools, 'tool')}"


def _tool(tool: ToolUse) -> str:
    return f"{tool.name} {tool.verdict} ({seconds(tool.seconds)})"


def _pauses(record: Record) -> str:
    if not record.pauses:
        return "kept up"
    return f"held it {_times(record.pauses, 'time')}, {seconds(record.paused)} in all"


def _some(told: Sequence[str]) -> str:
    more = f"; and {len(told) - TOLD} more" if len(told) > TOLD else ""
    return "; ".join(told[:TOLD]) + more


def _maybe(value: float | None) -> str:
    return "never came" if value is None else f"after {seconds(value)}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
