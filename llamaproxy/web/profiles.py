"""Whose profile a request falls under: known by the key that it shows, or else by the network it comes from."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from hmac import compare_digest
from weakref import ref

from msgspec import Struct, to_builtins

from ..config.callers import DIGEST
from ..config.schema import Budget, Profile, StartingGates
from ..seams.grants import EVERYTHING, Grants
from ..seams.limits import Rate
from ..seams.types import Caller, Rights
from .addresses import Address, networks
from .heads import Head


class Known(Struct, frozen=True, kw_only=True):
    """Somebody of whom the operator has written: the profile, and its name, "" for the operator's own key.

    `by_key` says that they showed a key, and so are who they say wherever they are. `grants` is the agent's part.
    """

    name: str = ""
    profile: Profile = Profile()
    by_key: bool = False
    grants: Grants = EVERYTHING


NOBODY_KNOWN = Known()
_OPERATOR = Known(profile=Profile(commands="all", operator=True), by_key=True)


class Visit(Struct, kw_only=True):
    """Who stands behind a request with this `head`, at this `address`, as was found by these `terms`.

    What else was found is remembered: whether they `may_enter`, which is to be asked anew while it is False, and the
    `caller`, None while nobody asked. The head itself is not held: a connection may be idle for long.
    """

    terms: object
    head: ref[Head]
    address: Address
    known: Known
    may_enter: bool = False
    caller: Caller | None = None


class Profiles:
    """Finds them. `api_keys` and `key_commands` are the short form of `callers`; see `config.FrontDoor`."""

    def __init__(
        self,
        callers: Mapping[str, Profile],
        api_keys: Mapping[str, str],
        key_commands: Mapping[str, Rights],
        operator_key: str | None,
    ) -> None:
        self._by_digest: list[tuple[bytes, Known]] = []
        self._by_network: list[tuple[Callable[[Address], bool], Known]] = []
        if operator_key:
            self._by_digest.append((_digest(operator_key.encode()), _OPERATOR))
        for name, key in api_keys.items():
            commands = key_commands.get(name)
            profile = Profile(key=key, commands=commands, operator=commands == "all" or None)
            self._by_digest.append((_digest(key.encode()), Known(name=name, profile=profile, by_key=True)))
        for name, profile in callers.items():
            known = Known(name=name, profile=profile, by_key=profile.is_keyed, grants=grants_of(profile))
            if profile.is_keyed:
                self._by_digest.append((_stored(profile.key or ""), known))
            else:
                self._by_network.append((networks(profile.networks), known))
        # The networks from which a key counts, where it does not count from everywhere.
        self._places = {
            name: networks(profile.networks)
            for name, profile in callers.items()
            if profile.is_keyed and profile.networks
        }
        self.has_keys = any(known.name for _, known in self._by_digest)

    def of_key(self, sent: bytes, address: Address) -> Known | None:
        """Whose key it is, if it is one that counts from this address."""
        if not sent:
            return None
        # Every key is compared, in constant time, so that timing tells nothing.
        digest = _digest(sent)
        found = [known for each, known in self._by_digest if compare_digest(each, digest)]
        if not found:
            return None
        place = self._places.get(found[0].name)
        return found[0] if place is None or place(address) else None

    def of_network(self, address: Address) -> Known | None:
        """Who comes from there, as far as anybody is known by that alone."""
        return next((known for is_inside, known in self._by_network if is_inside(address)), None)


def grants_of(profile: Profile) -> Grants:
    """The part of a profile that the agent goes by."""
    rate, budget = profile.rate, profile.budget or Budget()
    return Grants(
        model=profile.model or "",
        models=profile.models,
        tools=profile.tools,
        gates=to_builtins(profile.gates or StartingGates()),
        turns=None if rate is None else Rate(rate.turns, rate.seconds),
        tokens_per_hour=budget.tokens_per_hour or 0,
        tokens_per_day=budget.tokens_per_day or 0,
    )


def _digest(key: bytes) -> bytes:
    return sha256(key).digest()


def _stored(key: str) -> bytes:
    """The digest of a key as the operator wrote it, or it is one."""
    return bytes.fromhex(key.removeprefix(DIGEST)) if key.startswith(DIGEST) else _digest(key.encode())
