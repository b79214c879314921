"""The agent's limits, from a configuration."""

import msgspec

from ..agent.sessions.limits import Limits
from ..config import Configuration
from ..seams.limits import Keep, Rate


def limits_of(config: Configuration) -> Limits:
    """What the files say about them."""
    settings, registry = config.settings, config.registry
    return Limits(
        max_users=settings.max_users,
        session_idle_minutes=settings.session_idle_timeout_minutes,
        history_max_ctx=settings.history_max_ctx,
        queue=settings.front_door.queue_limit,
        follow_edits=settings.front_door.follow_edits,
        separate_chats=settings.front_door.has_separate_chats,
        retry_wait=settings.front_door.retry_wait,
        keep=Keep(**msgspec.structs.asdict(settings.front_door.sessions_keep)),
        rates={
            category: Rate(rate.calls, rate.window_seconds, rate.auto_disable)
            for category, rate in settings.rate_limits.items()
        },
        depths=msgspec.structs.asdict(registry.limits),
        tool_preview_length=settings.tool_preview_length,
        tool_suppress=settings.tool_suppress,
        gate_mode=settings.front_door.gate_mode or settings.gate_mode,
        message_limits={key: n for key, entry in registry.models.items() if (n := entry.max_context)},
    )
