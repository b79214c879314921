"""The agent's limits and defaults: what the operator's files set, and some commands change until a restart."""

from collections.abc import Mapping
from typing import Literal

from ...seams.limits import DEFAULT_DEPTHS, DEFAULT_RATES, Keep, Rate


class Limits:
    """`max_users` and `session_idle_minutes` 0 mean no limit, `history_max_ctx` is in messages.

    `queue` is how many messages of a session may wait. `depths` are the limits that `!limit_set` knows: rounds of
    tools in a turn, and how deep delegated calls may nest. `rates` are by category of tools; both come on top of
    the defaults. `display` is what sessions start with. `gate_mode` says whether a call that needs leave is
    refused, or the user is asked. `follow_edits` takes a session back to where its user edits or regenerates a message
    in the app; with `separate_chats` each chat of the app is a branch of its own, and not the one conversation.
    `retry_wait` is in seconds: so long a turn waits for its client to come again. `keep` is what the store keeps of
    conversations. `message_limits` are the models' own
    limits of history, by key.
    """

    def __init__(
        self,
        max_users: int = 50,
        session_idle_minutes: float = 60.0,
        history_max_ctx: int = 200,
        queue: int = 8,
        rates: Mapping[str, Rate] | None = None,
        depths: Mapping[str, int] | None = None,
        tool_preview_length: int = 500,
        tool_suppress: bool = False,
        gate_mode: Literal["reject", "ask"] = "reject",
        follow_edits: bool = True,
        separate_chats: bool = False,
        retry_wait: float = 10.0,
        keep: Keep | None = None,
        message_limits: Mapping[str, int] | None = None,
    ) -> None:
        self.max_users = max_users
        self.session_idle_minutes = session_idle_minutes
        self.history_max_ctx = history_max_ctx
        self.queue = queue
        self.depths: dict[str, int] = {**DEFAULT_DEPTHS, **(depths or {})}
        self.rates: dict[str, Rate] = {**DEFAULT_RATES, **(rates or {})}
        self.display = {
            "tool_preview_length": tool_preview_length,
            "tool_suppress": tool_suppress,
            "agent_call_stream": True,
        }
        self.gate_mode = gate_mode
        self.follow_edits = follow_edits
        self.separate_chats = separate_chats
        self.retry_wait = retry_wait
        self.keep = keep or Keep()
        self._message_limits = message_limits or {}

    def renew(self, other: "Limits") -> None:
        """Takes over what another one says; what commands had set until a restart is forgotten."""
        vars(self).update(vars(other))

    def messages(self, key: str) -> int:
        """How many messages of history the model `key` gets: its own limit under the ceiling."""
        return min(self.history_max_ctx, self._message_limits.get(key, self.history_max_ctx))
