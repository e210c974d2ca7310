"""The filters in force: the live versions, parsed once each."""

from __future__ import annotations

import threading

from broker.errors import UsageError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.store import filters
from broker.store.engine import Store
from broker.telemetry import get_logger

__all__ = ["FilterBook"]

log = get_logger(__name__)


class FilterBook:
    """Live filters, asked for again when the counter of changes has grown; may be shared by threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._generation = -1
        self._parsed: dict[tuple[str, int], FilterSpec | None] = {}
        self._now: tuple[FilterSpec, ...] = ()

    def now(self) -> tuple[FilterSpec, ...]:
        """Live filters, by name; the same object as long as nothing has changed."""
        return self.at()[1]

    def at(self) -> tuple[int, tuple[FilterSpec, ...]]:
        """How often filters have changed, and the live ones."""
        with self._lock:
            generation = filters.generation(self._store)  # before the filters: a change in between is seen the next time
            if generation != self._generation:
                self._now = self._read()
                self._generation = generation
            return generation, self._now

    def _read(self) -> tuple[FilterSpec, ...]:
        rows = filters.live(self._store)
        kept = {(row.name, row.version): row for row in rows}
        parsed = {key: self._parsed[key] if key in self._parsed else _parse(row) for key, row in kept.items()}
        self._parsed = parsed
        found = tuple(spec for spec in parsed.values() if spec is not None)
        return self._now if found == self._now else found


def _parse(row: filters.FilterVersion) -> FilterSpec | None:
    try:
        return parse_filter(row.text, f"{row.name} version {row.version}")
    except UsageError as error:  # written for another edition of the language
        log.error("a live filter is wrong and left out", filter=row.name, version=row.version, reason=str(error))  # noqa: TRY400 - the sentence says it all
        return None
