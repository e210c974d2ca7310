"""Live sky maps for the associate step: asked of the database once for each state of the events, loaded once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, fields
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from broker.process.associate import LiveMap
from broker.process.host_distance import Distances, columns_of, host_distances
from broker.science.circle import Circle
from broker.science.skymap import Facts, SkyMap, from_cone
from broker.store import live_events, skymaps
from broker.wiring.parts import Parts

__all__ = ["LiveMapsNow", "distance_columns", "distances_of", "keep_map", "load_map", "windows_of", "with_map"]

CIRCLE = "circle:"
LOADED = 256  # maps held at once; those from disk are mapped, so their pages are shared and can be dropped
MARGIN = timedelta(days=1)  # asked for more on both sides than a batch needs, so that the next needs not ask


def keep_map(parts: Parts, event_name: str, alert_id: str, skymap: SkyMap | Circle) -> str:
    """Write the map a notice brought, and tell its path below the folder of maps; a circle's path says all there is of it."""
    if isinstance(skymap, Circle):
        return CIRCLE + json.dumps(astuple(skymap))
    arrays = {item.name: getattr(skymap, item.name) for item in fields(skymap) if item.name != "facts"}
    return skymaps.save(parts.maps, event_name, alert_id, arrays, asdict(skymap.facts))


def load_map(parts: Parts, path: str) -> SkyMap:
    """The map `keep_map` gave that path for."""
    return _loaded(parts.maps, path)


@lru_cache(LOADED)
def _loaded(folder: Path, path: str) -> SkyMap:
    if path.startswith(CIRCLE):
        return from_cone(*json.loads(path.removeprefix(CIRCLE)))
    arrays, facts = skymaps.load(folder, path)
    return SkyMap(**arrays, facts=Facts(**facts))  # type: ignore[arg-type]


def with_map(parts: Parts, live: live_events.LiveMap) -> LiveMap:
    """What the database says of a live map, with the map itself."""
    skymap = load_map(parts, live.path)
    return LiveMap(live.event_name, live.revision, live.messenger or "", live.time, live.window, skymap)


def windows_of(parts: Parts) -> Mapping[str, tuple[float, float]]:
    """Seconds, alert minus event, within which alerts are associated, by messenger."""
    table = parts.settings.associate
    hours = {"GW": table.gw, "EM": table.em, "Neutrino": table.neutrino, "": table.other}
    return {messenger: (before * 3600.0, after * 3600.0) for messenger, (before, after) in hours.items()}


def distances_of(parts: Parts) -> Distances:
    """How far alerts' hosts are, by the catalogues there are and the redshifts that declarations name."""
    return host_distances(parts.catalogs, _redshifts(parts))


def distance_columns(parts: Parts) -> tuple[str, ...]:
    """Columns that `distances_of` reads."""
    return tuple(name for names in columns_of(parts.catalogs, _redshifts(parts)) for name in names)


def _redshifts(parts: Parts) -> list[str]:
    return [name for declaration in parts.declarations.values() for name in declaration.redshift]


class LiveMapsNow:
    """Look-up of the maps that alerts between two times can belong to; `broker.process.associate.LiveMaps`.

    Maps of tests, mock data, injections and commanded events are among them only if the settings say so.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.windows = self._windows = windows_of(parts)
        self.version = -1  # of the events, as last asked for
        self._known: tuple[datetime, datetime, list[live_events.LiveMap]] | None = None

    def __call__(self, start: datetime, end: datetime) -> Sequence[LiveMap]:
        """Live maps, by event name."""
        self.changed()
        known = self._known
        if known is None or start < known[0] or end > known[1]:
            known = self._known = (start - MARGIN, end + MARGIN, self._ask(start - MARGIN, end + MARGIN))
        return [with_map(self._parts, live) for live in known[2] if _meets(live, start, end)]

    def of(self, event_name: str, messenger: str | None, time: datetime) -> LiveMap | None:
        """The map of one event, if it is live."""
        window = self._windows.get(messenger or "", self._windows[""])
        asked = self._ask(*(time + timedelta(seconds=offset) for offset in window))
        return next((with_map(self._parts, live) for live in asked if live.event_name == event_name), None)

    def changed(self) -> bool:
        """Whether events have changed since this, or the maps, were last asked for."""
        version = live_events.version(self._parts.store)  # before the maps: a change in between is seen the next time
        if version == self.version:
            return False
        self.version, self._known = version, None
        return True

    def _ask(self, start: datetime, end: datetime) -> list[live_events.LiveMap]:
        real_only = not self._parts.settings.associate.tests
        return live_events.live_maps(self._parts.store, start, end, self._windows, real_only=real_only)


def _meets(live: live_events.LiveMap, start: datetime, end: datetime) -> bool:
    before, after = live.window
    return end >= live.time + timedelta(seconds=before) and start <= live.time + timedelta(seconds=after)
