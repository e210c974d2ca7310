"""Step: in which live sky maps an alert lies, and how deep, on the sky and, where its host's distance is known, in space.

Alerts are looked up in all live maps at once: see `broker.science.mapindex`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from broker.alert import EVENT_KINDS, SKYMAPS_DTYPE, Batch, Step
from broker.errors import SkyMapError
from broker.process.host_distance import Distances
from broker.science.mapindex import NO_TIME, MapIndex, lookup, pack
from broker.science.skymap import SkyMap
from broker.science.volume import volume_levels_at

__all__ = ["COLUMNS", "THRESHOLD", "LiveMap", "LiveMaps", "annotated", "associate", "kind_of"]

Window = tuple[float, float]

THRESHOLD: Final = 0.99
"""Probability of the region in which an alert lies in a map."""

_KINDS: Final = tuple(EVENT_KINDS.values())
_FIELDS: Final = {
    "event": pl.String,
    "credible_level": pl.Float64,
    "density": pl.Float64,
    "dt": pl.Float64,
    "volume_level": pl.Float64,
}
COLUMNS: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "skymaps": SKYMAPS_DTYPE,
    **{f"{kind}.{name}": dtype for kind in _KINDS for name, dtype in _FIELDS.items()},
}
"""Columns the step adds: all maps in which the alert lies, best first and equals as they came, and the best of each kind."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveMap:
    """A sky map that alerts are held against.

    Parameters
    ----------
    event, revision
        Whose it is, and which: a map that changes has another revision.
    messenger
        ``GW``, ``EM``, ``Neutrino`` or something else.
    time
        Of the event, UTC.
    window
        Seconds, alert minus event, both ends included.
    skymap
        The map itself.
    """

    event: str
    revision: int
    messenger: str
    time: datetime
    window: Window
    skymap: SkyMap


LiveMaps = Callable[[datetime, datetime], Sequence[LiveMap]]
"""Live maps that alerts between two times could belong to."""


def kind_of(messenger: str) -> str | None:
    """Prefix of the columns of the best map: ``gw``, ``grb`` (any electromagnetic event), ``neutrino`` or none."""
    return EVENT_KINDS.get(messenger.lower())


def associate(live_maps: LiveMaps, *, threshold: float = THRESHOLD, distances: Distances | None = None) -> Step:
    """Step that adds `COLUMNS`.

    Parameters
    ----------
    live_maps
        Asked once a batch for the maps of the batch's span of time; a map whose event is the alert's own is passed over.
    threshold
        Probability of the region in which an alert lies in a map: see `broker.science.skymap.region`.
    distances
        Told of alerts in maps that have distances.
    """
    cache: list[tuple[Sequence[LiveMap], MapIndex]] = []  # the maps that were live last, and their index

    def step(batch: Batch) -> Batch:
        frame = batch.frame
        times = frame["time"].drop_nulls()
        maps = live_maps(_utc(times.min()), _utc(times.max())) if len(times) else ()
        if not maps:
            return replace(batch, frame=_without(frame))
        if not cache or not _same(cache[0][0], maps):
            cache[:] = [(tuple(maps), _packed(maps, threshold))]
        return replace(batch, frame=_annotated(frame, *cache[0], distances))

    return step


def annotated(
    frame: pl.DataFrame, maps: Sequence[LiveMap], threshold: float = THRESHOLD, distances: Distances | None = None
) -> pl.DataFrame:
    """A frame with `COLUMNS` as some maps have them, in place of those it has."""
    bare = frame.drop(*COLUMNS, strict=False)
    return _annotated(bare, maps, _packed(maps, threshold), distances) if maps else _without(bare)


def _without(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in COLUMNS.items())


def _utc(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _same(old: Sequence[LiveMap], new: Sequence[LiveMap]) -> bool:
    def key(live: LiveMap) -> tuple[object, ...]:
        return (live.event, live.revision, live.messenger, live.time, live.window)

    return len(old) == len(new) and all(key(a) == key(b) for a, b in zip(old, new, strict=True))


def _packed(maps: Sequence[LiveMap], threshold: float) -> MapIndex:
    windows = [(round(live.window[0] * 1e6), round(live.window[1] * 1e6)) for live in maps]
    return pack([live.skymap for live in maps], [_micros(live.time) for live in maps], windows, threshold)


def _micros(time: datetime) -> int:
    return round((_utc(time) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6)


def _annotated(frame: pl.DataFrame, maps: Sequence[LiveMap], index: MapIndex, distances: Distances | None) -> pl.DataFrame:
    hpx = frame["hpx"].fill_null(-1).to_numpy()
    time = frame["time"].dt.epoch("us").fill_null(NO_TIME).to_numpy()
    row, number, level, density = lookup(index, hpx, time)
    events = pl.Series([live.event for live in maps], dtype=pl.String)
    if frame["event_name"].null_count() < frame.height:
        others = (frame["event_name"][row] != events[number]).fill_null(value=True).to_numpy()
        row, number, level, density = row[others], number[others], level[others], density[others]
    if not row.size:
        return _without(frame)
    order = np.lexsort((number, level, row))
    row, number = row[order], number[order]
    hits = pl.DataFrame(
        {
            "event": events[number],
            "revision": np.array([live.revision for live in maps], np.int64)[number],
            "credible_level": level[order],
            "density": density[order],
            "dt": (time[row] - index.event[number]) / 1e6,
            "volume_level": _volumes(frame, maps, row, number, distances),
        }
    )
    kinds = np.array([kind_of(live.messenger) or "" for live in maps])[number]
    added = [_listed(hits, row, frame.height), *(_best(hits, row, kinds == kind, kind, frame.height) for kind in _KINDS)]
    return pl.concat([frame, *added], how="horizontal")


def _volumes(
    frame: pl.DataFrame,
    maps: Sequence[LiveMap],
    row: npt.NDArray[np.int64],
    number: npt.NDArray[np.int64],
    distances: Distances | None,
) -> pl.Series:
    """Credible level in volume of each hit; null where map or alert has no distance."""
    levels = np.full(row.size, np.nan)
    deep = np.array([live.skymap.is_3d for live in maps])[number]
    if distances is not None and deep.any():
        inside, place = np.unique(row[deep], return_inverse=True)
        distance = np.full(row.size, np.nan)
        distance[deep] = distances(frame[inside])[place]
        hpx = frame["hpx"].fill_null(-1).to_numpy()
        for each in np.unique(number[np.isfinite(distance)]):
            here = np.flatnonzero(np.isfinite(distance) & (number == each))
            levels[here] = _volume_levels(maps[each].skymap, hpx[row[here]], distance[here])
    return pl.Series(levels).fill_nan(None)


def _volume_levels(skymap: SkyMap, hpx: npt.NDArray[np.int64], distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    try:
        return volume_levels_at(skymap, hpx, distance)
    except SkyMapError:  # it has columns of distances, and nothing in them
        return np.full(hpx.size, np.nan)


def _listed(hits: pl.DataFrame, row: npt.NDArray[np.int64], height: int) -> pl.DataFrame:
    """Hits of each row as a list, null for none; hits come in order of rows, so that lists are but offsets into them."""
    counts = np.bincount(row, minlength=height)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    values = hits.rechunk().to_struct("").to_arrow()
    lists = pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=pa.array(counts == 0))
    return pl.DataFrame({"skymaps": pl.Series(lists).cast(SKYMAPS_DTYPE)})


def _best(hits: pl.DataFrame, row: npt.NDArray[np.int64], alike: npt.NDArray[np.bool_], kind: str, height: int) -> pl.DataFrame:
    """First hit of a kind in each row."""
    chosen = np.flatnonzero(alike)
    chosen = chosen[np.flatnonzero(np.diff(row[chosen], prepend=-1))]
    place = np.full(height, chosen.size, np.int64)
    place[row[chosen]] = np.arange(chosen.size)
    best = hits[chosen].select(pl.col(name).alias(f"{kind}.{name}") for name in _FIELDS)
    return pl.concat([best, best.clear(1)])[place]
