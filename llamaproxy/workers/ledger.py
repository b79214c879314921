"""Adds up what workers have counted.

The sums have the names that the metrics of a single process have. What each worker has counted stands beside them under
names of its own, so that nothing which adds up one name counts anything twice.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ..web.metrics import Family, text_of

OURS, EACH = "llamaproxy_", "llamaproxy_worker_"
# Of these the worst counts, and not the sum.
WORST = frozenset({"llamaproxy_reactor_delay_seconds"})
# What only ever grows must not shrink when a worker dies.
GROWING = frozenset({"counter", "histogram"})

Key = tuple[str, frozenset[tuple[str, str]]]


class Ledger:
    """The newest figures of each worker, and the last ones of those that are gone."""

    def __init__(self) -> None:
        self._newest: dict[int, Sequence[Family]] = {}
        self._gone: list[Family] = []

    def enter(self, worker: int, families: Sequence[Family]) -> None:
        """What a worker has counted since it started."""
        self._newest[worker] = families

    def close(self, worker: int) -> None:
        """A worker is gone: of what it has counted, that stays which was seen last."""
        last = [family for family in self._newest.pop(worker, ()) if family.kind in GROWING]
        self._gone = list(_added([*self._gone, *last]))

    def text(self) -> str:
        """All of it in Prometheus' text format."""
        newest = [family for families in self._newest.values() for family in families]
        ours = [family for family in (*newest, *self._gone) if family.name.startswith(OURS)]
        return text_of([*_added(ours), *self._by_worker()])

    def _by_worker(self) -> Iterator[Family]:
        """Each family once, with the samples of all workers."""
        collected: dict[str, Family] = {}
        for worker, families in sorted(self._newest.items()):
            label = {"worker": str(worker + 1)}
            for family in families:
                name = _each(family.name)
                known = collected.setdefault(name, replace(family, name=name, samples=[]))
                known.samples.extend(
                    (_each(sample), {**labels, **label}, value) for sample, labels, value in family.samples
                )
        yield from collected.values()


def _each(name: str) -> str:
    return name.replace(OURS, EACH, 1)


def _added(families: Sequence[Family]) -> Iterator[Family]:
    """Each family once, with the samples of one name and one set of labels made one."""
    sums: dict[str, dict[Key, float]] = {}
    for family in families:
        values = sums.setdefault(family.name, {})
        for name, labels, value in family.samples:
            key = (name, frozenset(labels.items()))
            if family.name in WORST:
                values[key] = max(values.get(key, 0.0), value)
            else:
                values[key] = values.get(key, 0.0) + value
    by_name = {family.name: family for family in reversed(families)}
    for name, values in sums.items():
        samples = [(sample, dict(labels), value) for (sample, labels), value in values.items()]
        yield replace(by_name[name], samples=samples)
