"""Whose filters, watchlists and regions are, for every answer that leaves others' out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from broker.api.principal import Owned
from broker.process.watch import REGION_PREFIX, WATCHLIST_PREFIX
from broker.store import filters, regions, watchlists
from broker.store.engine import Store

__all__ = ["Owners"]


@dataclass(frozen=True, slots=True)
class _Read:
    generation: int
    filters: Mapping[str, Owned]
    columns: Mapping[str, Owned]


class Owners:
    """Asked for again when the counter of changes has grown, so that a request costs one look-up; may be shared by threads.

    A draft that nobody has put in force yet may be missing: nothing but filters themselves tells of it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._read: _Read | None = None

    def filters(self) -> Mapping[str, Owned]:
        """Of filters, by name."""
        return self._now().filters

    def columns(self) -> Mapping[str, Owned]:
        """Of watchlists and regions, by how the names of their columns begin."""
        return self._now().columns

    def _now(self) -> _Read:
        with self._lock:
            generation = filters.generation(self._store)  # before the rest: a change in between is seen the next time
            if self._read is None or self._read.generation != generation:
                lists: dict[str, Owned] = {
                    f"{WATCHLIST_PREFIX}{name}": one for name, one in watchlists.whose(self._store).items()
                }
                lists |= {f"{REGION_PREFIX}{name}": one for name, one in regions.whose(self._store).items()}
                self._read = _Read(generation, filters.whose(self._store), lists)
            return self._read
