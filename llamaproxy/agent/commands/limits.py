"""Commands about the limits of tools: rounds in a turn, depth of delegation, calls in a window of time."""

import re

from msgspec.structs import replace

from ...seams.limits import Rate
from .table import Call, UsageError, command, whole_number

MOST_LEVELS = 1000
MOST_CALLS = 100_000
# A day.
MOST_SECONDS = 86_400

_RATE = re.compile(r"(\d+)/(\d+)(\.\d+)?")


@command("limit_list", summary="limits of tools and delegation", group="Tools", aliases=("limit_depth_list",))
async def limit_list(call: Call) -> str:
    """Lists the depth limits and the rate limits."""
    limits = call.limits
    lines = [f"{name}: {number}" for name, number in limits.depths.items()]
    return "\n".join([*lines, *(f"{category}: {rate}" for category, rate in limits.rates.items())])


@command(
    "limit_set",
    "<key> <n> | <category> <calls>/<seconds>",
    summary="set a limit until the restart",
    group="Tools",
    aliases=("limit_depth_set",),
)
async def limit_set(call: Call) -> str:
    """Sets one limit for all sessions."""
    call.needs_operator()
    limits = call.limits
    match call.argument.split():
        case [key, number] if key in limits.depths:
            await call.rule("depth", whole_number(number, 0, MOST_LEVELS), key)
            return f"{key}: {limits.depths[key]}"
        case [category, text] if category in limits.rates and (found := _RATE.fullmatch(text)):
            old = limits.rates[category]
            calls = whole_number(found[1], 0, MOST_CALLS)
            whole_number(found[2], 0, MOST_SECONDS)
            rate = Rate(calls, float(f"{found[2]}{found[3] or ''}"), old.auto_disable)
            await call.rule("rate", rate, category)
            return f"{category}: {limits.rates[category]}"
    known = ", ".join([*limits.depths, *limits.rates])
    raise UsageError(f"'{call.argument}' sets no limit. There are: {known}.")


@command("limits", "list | read <key> | write <key> <n>", summary="the same as the two above", group="Tools")
async def limits(call: Call) -> str:
    """The later names of the same commands."""
    action, _, rest = call.argument.partition(" ")
    match action.lower():
        case "" | "list":
            return await limit_list(call)
        case "read":
            lines = (await limit_list(call)).splitlines()
            return next(
                (line for line in lines if line.startswith(f"{rest.strip()}:")), "There is no such limit."
            )
        case "write":
            return await limit_set(replace(call, argument=rest.strip()))
    raise UsageError(f"'{call.argument}' is not something that !limits does.")
