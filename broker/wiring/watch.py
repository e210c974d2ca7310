"""Watchlists and regions opened for the step that asks them, each once a version."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

import numpy as np
import numpy.typing as npt

from broker.errors import NotFoundError
from broker.process.watch import Asked, Held, OpenList
from broker.science.skymap import credible_ranges
from broker.science.targets import index_targets
from broker.store import lists, regions, watchlists
from broker.store.engine import Store
from broker.store.regions import Region
from broker.telemetry import get_logger
from broker.wiring.live_maps import load_map
from broker.wiring.parts import Parts

__all__ = ["ListsNow", "region_now"]

log = get_logger(__name__)

_ARCSEC: Final = 3600.0

Ranges = npt.NDArray[np.int64]

# By database and name, so that who begins anew with other filters need not read millions of targets again. A name's newer
# version takes the place of the older one.
_lists: dict[tuple[str, str], tuple[tuple[int, str], OpenList]] = {}
_regions: dict[tuple[str, str], tuple[str, Ranges]] = {}
_missed: set[tuple[str, str, str]] = set()  # told of once, until they are there


class ListsNow:
    """Look-up of the watchlists and regions that filters ask for; they are looked at again once one of them has changed."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._state: tuple[int, int] | None = None
        self._held: tuple[Asked, Held] | None = None

    def __call__(self, asked: Asked) -> Held:
        """What there is of it, in the newest versions."""
        state = lists.state(self._parts.store)  # before the lists: a change in between is seen the next time
        if self._held is None or self._state != state or self._held[0] != asked:
            self._held, self._state = (asked, self._open(asked)), state
        return self._held[1]

    def _open(self, asked: Asked) -> Held:
        store = self._parts.store
        current = watchlists.current(store, asked.watchlists) if asked.watchlists else {}
        opened = {name: _open_list(store, name, key) for name, key in current.items()}
        found = {name: one for name, one in opened.items() if one is not None}
        there = regions.some(store, asked.regions) if asked.regions else []
        held = {one.name: inside for one in there if (inside := region_now(self._parts, one)) is not None}
        for name in asked.watchlists.keys() - current.keys():
            _lists.pop((str(store.engine.url), name), None)
        self._tell("watchlist", asked.watchlists.keys(), current.keys())
        self._tell("region", asked.regions, {one.name for one in there})
        return Held(found, held)

    def _tell(self, kind: str, asked: AbstractSet[str], there: AbstractSet[str]) -> None:
        """Log what is not there, once."""
        url = str(self._parts.store.engine.url)
        _missed.difference_update((url, kind, name) for name in there)
        for name in sorted(asked - there):
            if (url, kind, name) not in _missed:
                _missed.add((url, kind, name))
                log.warning("a filter asks for what is not there: it is null until it is added", kind=kind, name=name)


def _open_list(store: Store, name: str, key: tuple[int, str]) -> OpenList | None:
    """A watchlist; ``None`` where it has been taken away since it was looked for."""
    place = (str(store.engine.url), name)
    known = _lists.get(place)
    if known is not None and known[0] == key:
        return known[1]
    try:
        version, frame = watchlists.targets(store, name)
    except NotFoundError:
        return None
    radius = frame["radius"].fill_null(version.radius).to_numpy() / _ARCSEC
    opened = OpenList(index_targets(frame["ra"].to_numpy(), frame["dec"].to_numpy(), radius), frame["id"])
    _lists[place] = (version.version, version.digest), opened
    return opened


def region_now(parts: Parts, region: Region) -> Ranges | None:
    """Order-29 ranges of a region, shape (n, 2); ``None`` while the event it follows has no map, and once it is retracted."""
    place = (str(parts.store.engine.url), region.name)
    known = _regions.get(place)
    if region.newest is not None:
        if known is None or known[0] != region.newest.digest:
            try:
                inside = regions.ranges(parts.store, region.name, region.newest.version)
            except NotFoundError:  # taken away since it was looked for
                return None
            known = _regions[place] = region.newest.digest, inside
        return known[1]
    assert region.event_name is not None
    assert region.level is not None
    path = regions.map_of(parts.store, region.event_name)
    if path is None:
        return None
    key = f"{parts.maps} {path} {region.level}"
    if known is None or known[0] != key:
        known = _regions[place] = key, credible_ranges(load_map(parts, path), region.level)
    return known[1]
