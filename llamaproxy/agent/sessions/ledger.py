"""What each key or address has used of models, and when it is over what its profile grants.

Counted once a turn: the message when it comes, its tokens when it is over. Other processes hear of both.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from math import ceil

from ...seams.errors import OverLimit
from ...seams.interfaces import IPeers
from ...seams.limits import Rate, Used
from ...seams.oversight import Account
from ...seams.types import Caller, Usage

HOUR, DAY = 3600.0, 86_400.0
# For so long messages of other processes are counted.
LONGEST = 7 * DAY
# Tokens of one minute are one entry.
GRAIN = 60.0
# Sources beyond this many are forgotten, those first of whom nothing was heard for longest.
MOST_SOURCES = 10_000


class _Account:
    """Of one source: when its messages came, and the tokens by the minute that they were counted in.

    `caller` is the last one who came from there, None if nobody did so here.
    """

    def __init__(self) -> None:
        self.caller: Caller | None = None
        self.turns: deque[float] = deque()
        self.tokens: deque[tuple[float, int]] = deque()


class Ledger:
    """Keeps the accounts of those whose profile has a limit; `seconds` is the clock."""

    def __init__(self, seconds: Callable[[], float], peers: IPeers) -> None:
        self._seconds = seconds
        self._peers = peers
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def admit(self, caller: Caller, is_message: bool = True) -> None:
        """Counts a message to a model, or a part of one that is under way. Raises `OverLimit` if it is too much."""
        grants = caller.grants
        budgets = ((grants.tokens_per_hour, HOUR, "an hour"), (grants.tokens_per_day, DAY, "a day"))
        for limit, seconds, span in budgets:
            if limit and (wait := self._wait_for_tokens(caller, limit, seconds)):
                raise OverLimit.of(f"The {limit} tokens that you may use in {span}", ceil(wait))
        if grants.turns is not None and is_message:
            self._count(caller, grants.turns)

    def charge(self, caller: Caller, usage: Usage) -> None:
        """Counts the tokens of what is over."""
        spent = usage.prompt_tokens + usage.completion_tokens
        if not spent or not (caller.grants.tokens_per_hour or caller.grants.tokens_per_day):
            return
        self._spend(self._account(caller), self._seconds(), spent)
        self._peers.tell_used(Used(_source(caller), tokens=spent))

    def count(self, used: Used) -> None:
        """Counts what was used in another process."""
        now, account = self._seconds(), self._account_of(used.source)
        at = now - used.ago
        account.turns.extend([at] * used.messages)
        # Nobody may ever come here from there.
        while account.turns and account.turns[0] <= now - LONGEST:
            account.turns.popleft()
        if used.tokens:
            self._spend(account, at, used.tokens)

    def count_anew(self, used: Sequence[Used]) -> None:
        """Counts what was used anywhere, oldest first, and nothing else."""
        for account in self._accounts.values():
            account.turns.clear()
            account.tokens.clear()
        for each in used:
            self.count(each)

    def accounts(self) -> list[Account]:
        """What each source has used lately, those that were heard of last at the end."""
        return [
            self._told(source, account, account.caller)
            for source, account in self._accounts.items()
            if account.caller is not None
        ]

    def _told(self, source: str, account: _Account, caller: Caller) -> Account:
        now, grants = self._seconds(), caller.grants

        def used(seconds: float) -> int:
            return sum(spent for minute, spent in account.tokens if minute + GRAIN > now - seconds)

        return Account(
            caller=source,
            profile=caller.profile,
            hour=used(HOUR),
            per_hour=grants.tokens_per_hour,
            day=used(DAY),
            per_day=grants.tokens_per_day,
        )

    def _count(self, caller: Caller, rate: Rate) -> None:
        now, turns = self._seconds(), self._account(caller).turns
        while turns and turns[0] <= now - rate.seconds:
            turns.popleft()
        if len(turns) >= rate.calls:
            wait = turns[0] + rate.seconds - now
            raise OverLimit.of(
                f"The {rate.calls} messages that you may send in {rate.seconds:g} s", ceil(wait)
            )
        turns.append(now)
        self._peers.tell_used(Used(_source(caller), messages=1))

    def _spend(self, account: _Account, at: float, spent: int) -> None:
        tokens, minute = account.tokens, at - at % GRAIN
        while tokens and tokens[0][0] + GRAIN <= at - DAY:
            tokens.popleft()
        if tokens and tokens[-1][0] == minute:
            spent += tokens.pop()[1]
        tokens.append((minute, spent))

    def _wait_for_tokens(self, caller: Caller, limit: int, seconds: float) -> float:
        """In how many seconds there are fewer than `limit` in the window; 0 if that is so now."""
        now, tokens = self._seconds(), self._account(caller).tokens
        while tokens and tokens[0][0] + GRAIN <= now - DAY:
            tokens.popleft()
        used = 0
        for minute, spent in reversed(tokens):
            if minute + GRAIN <= now - seconds:
                break
            used += spent
            if used >= limit:
                # Once this entry has left the window, what is left is below the limit.
                return minute + GRAIN + seconds - now
        return 0.0

    def _account(self, caller: Caller) -> _Account:
        account = self._account_of(_source(caller))
        account.caller = caller
        return account

    def _account_of(self, source: str) -> _Account:
        account = self._accounts.setdefault(source, _Account())
        self._accounts.move_to_end(source)
        if len(self._accounts) > MOST_SOURCES:
            self._accounts.popitem(last=False)
        return account


def _source(caller: Caller) -> str:
    return caller.source or caller.address
