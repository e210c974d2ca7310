"""Sky maps that came or changed after the alerts: what a live filter would have been told then, played again in order.

The moments of the events are those of `broker.store.moments`; when to look, and what a look means, is `broker.wiring.held`'s to
say, as it is for live filters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.process.associate import COLUMNS, LiveMap, annotated
from broker.store import associations, live_events, moments
from broker.store.moments import Moment
from broker.store.times import from_micros
from broker.wiring import held
from broker.wiring.backtest_rows import Faults, Reader, bare
from broker.wiring.live_maps import distance_columns, distances_of, windows_of, with_map
from broker.wiring.parts import Parts

__all__ = ["reads_maps", "rescored"]

_WAS: Final = {"alert_id": pl.String, "was_level": pl.Float64, "was_volume": pl.Float64}
_Was = dict[str, tuple[float | None, float | None, int]]
"""Levels and revision that an event's alerts were found at, by alert id."""


@dataclass(slots=True)
class _Sky:
    """Events as of a moment: `broker.process.associate.LiveMaps`."""

    parts: Parts
    windows: Mapping[str, tuple[float, float]]
    events: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def __call__(self, start: datetime, end: datetime) -> Sequence[LiveMap]:
        found = [self._live(name, start, end) for name in sorted(self.events)]
        return [with_map(self.parts, live) for live in found if live is not None]

    def of(self, name: str) -> live_events.LiveMap | None:
        """The map of one event, not loaded yet."""
        event = self.events.get(name)
        when = None if event is None else from_micros(event["time"])
        if event is None or when is None:
            return None
        window = self.windows.get(event["messenger"] or "", self.windows[""])
        return self._live(name, *(when + timedelta(seconds=edge) for edge in window))

    def messenger(self, name: str) -> str | None:
        event = self.events.get(name)
        return None if event is None else event["messenger"]

    def turn(self, moment: Moment) -> None:
        for name, row in moment.events.items():
            if row is None:
                self.events.pop(name, None)
            else:
                self.events[name] = row

    def _live(self, name: str, start: datetime, end: datetime) -> live_events.LiveMap | None:
        event = self.events[name]
        if not event["real"] and not self.parts.settings.associate.tests:
            return None
        return live_events.of_event(event, start, end, self.windows)


def reads_maps(reader: Reader) -> bool:
    """Whether the filter's condition reads what maps say."""
    return not reader.reads.isdisjoint(COLUMNS)


def rescored(
    reader: Reader,
    start: datetime | None,
    end: datetime | None,
    *,
    had: Collection[str],
    faults: Faults,
    on_moment: Callable[[int, int], None] = lambda _done, _total: None,
) -> pl.DataFrame:
    """Alerts of a window of time that the filter would have picked on account of maps that came, or changed, after them.

    Parameters
    ----------
    had
        Ids of those it picked when they came.
    on_moment
        Told how many of how many batches of notices are played.

    Returns
    -------
    DataFrame
        Rows with the common columns, those where they came from, and what the filter reads.
    """
    parts = reader.parts
    surveys = [stream for stream in reader.streams() if stream in parts.declarations]
    places = _places(reader, surveys, start, end)
    if places.is_empty():
        return places
    windows = windows_of(parts)
    margin = [timedelta(seconds=max(abs(edge) for window in windows.values() for edge in window))]
    first, last = (from_micros(int(edge)) for edge in (places["time"][0], places["time"][-1]))
    assert first is not None
    assert last is not None
    played = moments.moments(parts.store, first - margin[0], last + margin[0])
    ids = _inside(parts, played, windows, places)
    if not ids.len():
        return places.clear()
    rows = _rows(reader, surveys, start, end, ids)
    if rows.is_empty():
        return rows
    return _Play(reader, windows, rows, set(had), faults).run(played, on_moment)


def _places(reader: Reader, streams: Sequence[str], start: datetime | None, end: datetime | None) -> pl.DataFrame:
    """Where and when the alerts are, by time."""
    placed = Reader(reader.parts, reader.spec)
    placed.wanted = frozenset()
    found = [
        stretch.frame.filter(pl.col("hpx").is_not_null()).select(
            "alert_id", "hpx", pl.col("time").dt.epoch("us"), pl.col("nuncius.received").dt.epoch("us").alias("received")
        )
        for stretch in placed.stretches(start, end, streams=streams, only=pl.col("time").is_not_null())
    ]
    if not found:
        return pl.DataFrame(schema={"alert_id": pl.String, "hpx": pl.Int64, "time": pl.Int64, "received": pl.Int64})
    return pl.concat(found).sort("time", "alert_id")


def _inside(
    parts: Parts, played: Sequence[Moment], windows: Mapping[str, tuple[float, float]], places: pl.DataFrame
) -> pl.Series:
    """Ids of the alerts that any map holds which came after them."""
    time, received, hpx = (places[name].to_numpy() for name in ("time", "received", "hpx"))
    chosen = np.zeros(places.height, np.bool_)
    sky = _Sky(parts, windows)
    for moment in played:
        sky.turn(moment)
        for name in moment.events:
            live = sky.of(name)
            if live is None:
                continue
            here = _window(time, live)
            rows = np.arange(here.start, here.stop)[received[here] < moment.at]
            rows = rows[~chosen[rows]]
            if rows.size:
                chosen[rows[held.within(with_map(parts, live), parts.settings.associate.level, hpx[rows])]] = True
    return places["alert_id"].filter(pl.Series(chosen))


def _window(time: npt.NDArray[np.int64], live: live_events.LiveMap) -> slice:
    low, high = (round((live.time + timedelta(seconds=edge)).timestamp() * 1e6) for edge in live.window)
    return slice(int(np.searchsorted(time, low)), int(np.searchsorted(time, high, "right")))


def _rows(reader: Reader, streams: Sequence[str], start: datetime | None, end: datetime | None, ids: pl.Series) -> pl.DataFrame:
    """The alerts with all their columns and when each was kept, but for those that the filter refuses wherever the maps are."""
    whole = Reader(reader.parts, reader.spec, frozenset({"skymaps", *distance_columns(reader.parts)}))
    only = pl.col("alert_id").is_in(ids.implode())
    found = [whole.filled(stretch, frozenset(COLUMNS)) for stretch in whole.stretches(start, end, streams=streams, only=only)]
    found = [rows for rows in found if not rows.is_empty()]
    if not found:
        return pl.DataFrame(schema={"alert_id": pl.String})
    rows = pl.concat(found, how="diagonal_relaxed").unique("alert_id", maintain_order=True)
    kept = moments.processed(reader.parts.store, rows["alert_id"].to_list())
    return rows.with_columns(
        pl.coalesce(
            pl.col("alert_id").replace_strict(kept, default=None, return_dtype=pl.Int64),
            pl.col("nuncius.received").dt.epoch("us"),
        ).alias("nuncius.kept")
    ).sort("nuncius.kept", "alert_id")


class _Play:
    """Goes from moment to moment."""

    def __init__(
        self,
        reader: Reader,
        windows: Mapping[str, tuple[float, float]],
        rows: pl.DataFrame,
        had: set[str],
        faults: Faults,
    ) -> None:
        self._reader, self._parts, self._rows, self._had, self._faults = reader, reader.parts, rows, had, faults
        self._sky = _Sky(reader.parts, windows)
        self._was: defaultdict[str, _Was] = defaultdict(dict)
        self._arrived = 0
        self._kept = rows["nuncius.kept"].to_numpy()
        self._distances = distances_of(reader.parts)

    def run(self, played: Sequence[Moment], on_moment: Callable[[int, int], None]) -> pl.DataFrame:
        found = [self._rows.clear()]
        for number, moment in enumerate(played):
            self._arrive(moment.at)
            self._sky.turn(moment)
            for old, new in moment.renamed:
                was = self._was.pop(old, {})
                self._was[new] = was | self._was[new]
            changes = [change for change in moment.changes if change.real or self._parts.settings.associate.tests]
            for name in dict.fromkeys(change.event_name for change in changes):
                live = self._sky.of(name)
                if held.calls(change for change in changes if change.event_name == name) or self._stale(name, live):
                    found.append(self._look(name, live))
            on_moment(number + 1, len(played))
        return pl.concat([some for some in found if not some.is_empty()] or found, how="diagonal_relaxed")

    def _arrive(self, at: int) -> None:
        """Take note of the maps that alerts kept until then were found in."""
        upto = int(np.searchsorted(self._kept, at))
        fresh, self._arrived = self._rows[self._arrived : upto], upto
        if "skymaps" not in fresh.columns:
            return
        for alert_id, listed in fresh.select("alert_id", "skymaps").drop_nulls().iter_rows():
            for one in listed:
                self._was[one["event"]][alert_id] = (one["credible_level"], one["volume_level"], one["revision"])

    def _stale(self, name: str, live: live_events.LiveMap | None) -> bool:
        return any(live is None or revision != live.revision for _, _, revision in self._was[name].values())

    def _look(self, name: str, live: live_events.LiveMap | None) -> pl.DataFrame:
        """Rows newly picked; what they are found at is taken note of."""
        nothing = self._rows.clear()
        if live is None:
            self._was[name] = {}
            return nothing
        rows = self._annotated(live)
        if rows.is_empty() and not self._was[name]:
            return nothing
        here = associations.of_frame(rows, self._distances).filter(pl.col("event_name") == name)
        known = [(alert_id, level, volume) for alert_id, (level, volume, _) in self._was[name].items()]
        inside = held.compared(here, pl.DataFrame(known, schema=_WAS, orient="row"))
        found = zip(inside["alert_id"], inside["credible_level"], inside["volume_level"], strict=True)
        self._was[name] = {alert_id: (level, volume, live.revision) for alert_id, level, volume in found}
        if not held.concerned(self._reader.spec, self._sky.messenger(name)):
            return nothing

        def fault(_name: str, _stream: str, message: str) -> None:
            self._faults[message] += rows.height

        picked = held.picked([self._reader.spec], bare(rows), fault)["alert_id"]
        new = set(picked) & set(inside.filter("moved")["alert_id"]) - self._had
        self._had |= new
        return rows.filter(pl.col("alert_id").is_in(list(new)))

    def _annotated(self, live: live_events.LiveMap) -> pl.DataFrame:
        """Alerts kept by now in the map and its window, as the maps are now."""
        rows = self._rows[: self._arrived]
        low, high = (live.time + timedelta(seconds=edge) for edge in live.window)
        rows = rows.filter(pl.col("time").is_between(low, high))
        if rows.is_empty():
            return rows
        inside = held.within(with_map(self._parts, live), self._parts.settings.associate.level, rows["hpx"].to_numpy())
        rows = rows[inside].sort("alert_id")
        if rows.is_empty():
            return rows
        maps = self._sky(rows["time"].min(), rows["time"].max())  # type: ignore[arg-type]
        return annotated(rows, maps, self._parts.settings.associate.level, self._distances)
