"""Commands about models that are asked besides the session's own."""

from collections.abc import Callable

from ...seams.errors import ToolError
from ...seams.limits import ALLOWED, TIMEOUT
from ..calls.arguments import BadArguments
from ..calls.gatekeeper import Refused, Way
from .direct import tool_arguments
from .table import Call, UsageError, command, required_truth, whole_number

# A day.
MOST_SECONDS = 86_400


@command("llm_list", summary="the models in detail", group="Models")
async def llm_list(call: Call) -> str:
    """Lists the enabled models with what is known of them."""
    delegation, toolbox = call.delegation, call.toolbox
    lines = []
    for info in call.backends.infos():
        facts = [
            info.kind,
            info.model_id,
            f"{info.context_length} tokens" if info.context_length else "",
            "pictures" if info.vision else "",
            f"{len(toolbox.offered(info.key))} tools",
            "may be asked by others" if delegation.allows(info.key) else "",
            f"timeout {delegation.timeout(info.key):g} s",
        ]
        lines.append(f"{info.key}: {', '.join(filter(None, facts))}")
    return "\n".join(lines)


@command(
    "llm_call", "[[key] <bool>]", summary="which models and agents others may ask; is kept", group="Models"
)
async def llm_call(call: Call) -> str:
    """Shows or sets which models may be delegated to, one or all."""
    delegation = call.delegation
    words = call.argument.split()
    if words:
        call.needs_operator()
        allowed = required_truth(words[-1])
        for key in _keys(call, words[:-1]):
            await call.rule(ALLOWED, allowed, key)
            await delegation.keep(key, ALLOWED, allowed)
    return _each(call, lambda key: "may be asked" if delegation.allows(key) else "may not be asked")


@command(
    "llm_timeout", "[[key] <seconds>]", summary="how long a whole call may take; is kept", group="Models"
)
async def llm_timeout(call: Call) -> str:
    """Shows or sets the time limit of calls, of one model or all; it holds from the next call on."""
    delegation = call.delegation
    words = call.argument.split()
    if words:
        call.needs_operator()
        seconds = float(whole_number(words[-1], 1, MOST_SECONDS))
        for key in _keys(call, words[:-1]):
            await call.rule(TIMEOUT, seconds, key)
            await delegation.keep(key, TIMEOUT, seconds)
    return _each(call, lambda key: f"{delegation.timeout(key):g} seconds")


@command(
    "llm_clean_text",
    "<key> <prompt>",
    summary="ask a model without prompt or history",
    group="Models",
    waits=True,
)
async def llm_clean_text(call: Call) -> str:
    """One call of a model with nothing but this text."""
    call.needs_all_rights()
    key, prompt = _split(call.argument)
    _keys(call, [key])
    try:
        return await call.asker.ask(key, prompt, depth=call.turn.caller.depth)
    except ToolError as error:
        return str(error)


@command(
    "llm_clean_tool",
    "<key> <tool> <args>",
    summary="run a tool, and let a model put the result into words",
    group="Models",
    waits=True,
)
async def llm_clean_tool(call: Call) -> str:
    """One tool, through its gates, whose result a model without prompt or history puts into words."""
    call.needs_all_rights()
    key, rest = _split(call.argument)
    name, text = _split(rest)
    _keys(call, [key])
    tool = call.toolbox.get(name)
    if tool is None:
        raise UsageError(f"There is no tool '{name}'.")
    runner = call.runner(tool)
    try:
        result = await runner.run_for_person(tool, tool_arguments(tool, text), Way.LENT)
        return await call.asker.ask(
            key,
            f"The tool {name} was called with: {text}\n\nIts result:\n{result}\n\nSay what came of it.",
            depth=call.turn.caller.depth,
        )
    except BadArguments as problem:
        raise UsageError(f"{problem}.") from None
    except (Refused, ToolError) as error:
        return str(error)


def _keys(call: Call, words: list[str]) -> list[str]:
    """The model that is named, or all."""
    match words:
        case []:
            return list(call.backends)
        case [key] if key in call.backends:
            return [key]
    raise UsageError(f"Unknown model '{' '.join(words)}'. There are: {', '.join(call.backends)}.")


def _each(call: Call, fact: Callable[[str], str]) -> str:
    return "\n".join(f"{key}: {fact(key)}" for key in call.backends)


def _split(text: str) -> tuple[str, str]:
    first, *rest = text.split(maxsplit=1) or [""]
    if not rest:
        raise UsageError("Something is missing.")
    return first, rest[0]
