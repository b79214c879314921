"""Commands about the server: its state, and limits that hold until it restarts."""

import platform
from datetime import datetime, timedelta

from ... import __version__
from .table import Call, command, whole_number

MOST_MESSAGES = 100_000
MOST_USERS = 1_000_000
# A year.
MOST_MINUTES = 366 * 24 * 60


@command("get_system_info", summary="date, time and the server's state")
async def get_system_info(call: Call) -> str:
    """Says what the server is doing."""
    uptime = timedelta(seconds=int(call.clock.seconds() - call.started_at))
    return "\n".join(
        [
            f"Time: {datetime.now().astimezone():%A, %d %B %Y, %H:%M:%S %Z}",
            f"Server: llamaproxy {__version__}, Python {platform.python_version()}, {platform.system()}",
            f"Up: {uptime}",
            # Whoever only sends commands is no user yet, and still counts oneself.
            f"Sessions: {call.peers.live_in_all() + (not call.session.is_user)} of "
            f"{call.limits.max_users or 'any number'}",
            f"Model: {call.session.model} ({len(call.backends)} enabled)",
        ]
    )


@command("maxctx", "[n]", summary="show or set how many messages a model gets")
async def maxctx(call: Call) -> str:
    """The ceiling of every session's window, in messages."""
    limits = call.limits
    if call.argument:
        call.needs_operator()
        await call.rule("history_max_ctx", whole_number(call.argument, 1, MOST_MESSAGES))
    return f"History window: {limits.history_max_ctx} messages"


@command("maxusers", "[n]", summary="show or set the number of sessions, 0 for any")
async def maxusers(call: Call) -> str:
    """The limit of live sessions."""
    limits = call.limits
    if call.argument:
        call.needs_operator()
        await call.rule("max_users", whole_number(call.argument, 0, MOST_USERS))
    return f"Sessions at the same time: {limits.max_users or 'any number'}"


@command("sessiontimeout", "[minutes]", summary="show or set when idle sessions are put away, 0 for never")
async def sessiontimeout(call: Call) -> str:
    """How long a session may idle in memory."""
    limits = call.limits
    if call.argument:
        call.needs_operator()
        await call.rule("session_idle_minutes", whole_number(call.argument, 0, MOST_MINUTES))
    minutes = limits.session_idle_minutes
    return f"Idle sessions are put away after: {f'{minutes:g} minutes' if minutes else 'never'}"
