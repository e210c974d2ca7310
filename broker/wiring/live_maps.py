"""Live sky maps for the associate step: looked up by time, loaded once, looked up again when an event has changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, fields
from datetime import datetime
from functools import lru_cache, partial

from broker.process.associate import LiveMap
from broker.science.circle import Circle
from broker.science.skymap import Facts, SkyMap, from_cone
from broker.store import events, skymaps
from broker.wiring.parts import Parts

__all__ = ["keep_map", "live_maps_of", "load_map"]

CIRCLE = "circle:"
LOADED = 256  # maps held at once; those from disk are mapped, so their pages are shared and can be dropped


def keep_map(parts: Parts, event_name: str, alert_id: str, skymap: SkyMap | Circle) -> str:
    """Write the map a notice brought, and tell its path below the folder of maps; a circle's path says all there is of it."""
    if isinstance(skymap, Circle):
        return CIRCLE + json.dumps(astuple(skymap))
    arrays = {item.name: getattr(skymap, item.name) for item in fields(skymap) if item.name != "facts"}
    return skymaps.save(parts.maps, event_name, alert_id, arrays, asdict(skymap.facts))


def load_map(parts: Parts, path: str) -> SkyMap:
    """The map `keep_map` gave that path for."""
    if path.startswith(CIRCLE):
        return from_cone(*json.loads(path.removeprefix(CIRCLE)))
    arrays, facts = skymaps.load(parts.maps, path)
    return SkyMap(**arrays, facts=Facts(**facts))  # type: ignore[arg-type]


def live_maps_of(parts: Parts) -> Callable[[datetime, datetime], Sequence[LiveMap]]:
    """Look-up of the maps that alerts between two times can belong to."""
    table = parts.settings.associate
    windows = {
        messenger: (hours[0] * 3600.0, hours[1] * 3600.0)
        for messenger, hours in (("GW", table.gw), ("EM", table.em), ("Neutrino", table.neutrino), ("", table.em))
    }
    load = lru_cache(LOADED)(partial(load_map, parts))

    def look_up(start: datetime, end: datetime) -> Sequence[LiveMap]:
        return [
            LiveMap(live.event_name, live.revision, live.messenger or "", live.time, live.window, load(live.path))
            for live in events.live_maps(parts.store, start, end, windows)
        ]

    return look_up
