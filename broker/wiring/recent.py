"""Rows of the frames that a change of an event concerns: recent alerts inside a map, and alerts by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import COMMON
from broker.filtering.definition import FilterSpec
from broker.process.associate import COLUMNS, LiveMap, annotated
from broker.store import columns
from broker.store.segments import night_of
from broker.store.times import from_micros, to_micros
from broker.wiring import held
from broker.wiring.live_maps import LiveMapsNow, distance_columns, distances_of
from broker.wiring.parts import Parts

__all__ = ["by_id", "inside", "times"]

EARLY = timedelta(days=2)
"""Nights are of the receipt: an alert may be received so much earlier than its time says, by clocks gone wrong."""
_MICRO = timedelta(microseconds=1)


def inside(parts: Parts, live: LiveMap, live_maps: LiveMapsNow, filters: Sequence[FilterSpec]) -> pl.DataFrame:
    """Recent survey alerts inside a map.

    Parameters
    ----------
    live
        The map and its window of time.
    live_maps
        All others.
    filters
        Those whose columns are to be read.

    Returns
    -------
    DataFrame
        The common columns, those of where the rows came from, those the filters read, and the columns of the associate step as
        all live maps have them now.
    """
    start, end = (live.time + timedelta(seconds=offset) for offset in live.window)
    since = night_of(to_micros(start - EARLY))
    rows = columns.scan(parts.frames, list(parts.declarations), start=start, end=end + _MICRO, since=since)
    rows = rows.filter(pl.col("time").is_not_null(), pl.col("hpx").is_not_null())
    # First the places alone: most alerts lie elsewhere, and their other columns need not be read.
    hpx = rows.select("hpx").collect()["hpx"].to_numpy()
    here = pl.Series(np.unique(hpx[held.within(live, parts.settings.associate.level, hpx)]))
    return _annotated(parts, _wanted(parts, rows.filter(pl.col("hpx").is_in(here.implode())), filters), live_maps)


def times(parts: Parts) -> npt.NDArray[np.int64]:
    """When the survey alerts kept were, in microseconds, ascending.

    The frames tell, not the database: another process may be between the two, and reads the events of before.
    """
    rows = columns.scan(parts.frames, list(parts.declarations)).select(pl.col("time").dt.epoch("us")).collect()
    return rows["time"].drop_nulls().sort().to_numpy()


def by_id(parts: Parts, alerts: pl.DataFrame, live_maps: LiveMapsNow, filters: Sequence[FilterSpec]) -> pl.DataFrame:
    """Survey alerts by their ids; see `inside`.

    Parameters
    ----------
    alerts
        ``alert_id`` and ``time`` in microseconds.
    """
    if alerts.is_empty():
        return pl.DataFrame()
    times = alerts["time"].to_numpy()
    start, end = from_micros(int(times.min())), from_micros(int(times.max()))
    assert start is not None
    assert end is not None
    since = night_of(to_micros(start - EARLY))
    rows = columns.scan(parts.frames, list(parts.declarations), start=start, end=end + _MICRO, since=since)
    rows = rows.filter(pl.col("alert_id").is_in(alerts["alert_id"].implode()))
    return _annotated(parts, _wanted(parts, rows, filters), live_maps)


def _wanted(parts: Parts, rows: pl.LazyFrame, filters: Sequence[FilterSpec]) -> pl.DataFrame:
    there = rows.collect_schema().names()
    names = {*COMMON, *columns.PROVENANCE, *distance_columns(parts)}.union(*(spec.columns for spec in filters))
    if any(not spec.select for spec in filters):  # they send all there is
        names.update(there)
    return rows.select(name for name in there if name in names and name not in COLUMNS).collect().unique("alert_id")


def _annotated(parts: Parts, rows: pl.DataFrame, live_maps: LiveMapsNow) -> pl.DataFrame:
    if rows.is_empty():
        return rows
    rows = rows.sort("alert_id")
    times = rows["time"].drop_nulls()
    maps = live_maps(times.min(), times.max()) if len(times) else ()  # type: ignore[arg-type]
    return annotated(rows, maps, parts.settings.associate.level, distances_of(parts))
