"""Events that alerts are held against: those with a map, in their time, and a counter that tells when to ask again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from broker.store import tables
from broker.store.engine import Store, connection
from broker.store.times import from_micros, to_micros

__all__ = ["LiveMap", "live_maps", "of_event", "real", "version"]

Window = tuple[float, float]
"""Seconds, alert minus event: from, to."""


@dataclass(frozen=True, slots=True)
class LiveMap:
    """A sky map that alerts are to be held against.

    Parameters
    ----------
    event_name, messenger, alert_tense
        Of the event.
    revision
        That brought the map.
    time
        Of the event.
    path
        Below the folder of maps: see `broker.store.skymaps`.
    window
        Seconds, alert minus event, within which an alert is associated.
    """

    event_name: str
    messenger: str | None
    alert_tense: str | None
    revision: int
    time: datetime
    path: str
    window: Window


def version(store: Store) -> int:
    """A number that grows whenever an event changes: one look-up that spares `live_maps`."""
    counter = tables.counters.c
    with connection(store) as conn:
        return int(conn.execute(select(counter.value).where(counter.name == "events")).scalar() or 0)


def live_maps(
    store: Store, start: datetime, end: datetime, windows: Mapping[str, Window], *, real_only: bool = False
) -> list[LiveMap]:
    """Maps of the events that alerts of a span of time could belong to.

    Parameters
    ----------
    start, end
        Time of the earliest and of the latest alert.
    windows
        By messenger, ``""`` for any other; an event that has neither is left out.
    real_only
        Leave out tests, injections and commanded events.

    Returns
    -------
    list of LiveMap
        The latest map of each event that is not retracted, by event name.
    """
    if not windows:
        return []
    event = tables.events.c
    first = to_micros(start) - int(max(window[1] for window in windows.values()) * 1e6)
    last = to_micros(end) - int(min(window[0] for window in windows.values()) * 1e6)
    wanted = (
        select(tables.events)
        .where(event.map_path.is_not(None), event.state != "retracted", event.time.between(first, last))
        .order_by(event.event_name)
    )
    if real_only:
        wanted = wanted.where(real())
    with connection(store) as conn:
        rows = conn.execute(wanted).mappings().all()
    return [live for row in rows if (live := of_event(dict(row), start, end, windows)) is not None]


def of_event(row: Mapping[str, Any], start: datetime, end: datetime, windows: Mapping[str, Window]) -> LiveMap | None:
    """The map of an event, if alerts between two times are to be held against it.

    Parameters
    ----------
    row
        Of the table of events.
    """
    window = windows.get(row["messenger"] or "", windows.get(""))
    if window is None or row["map_path"] is None or row["state"] == "retracted" or row["time"] is None:
        return None
    if to_micros(end) < row["time"] + window[0] * 1e6 or to_micros(start) > row["time"] + window[1] * 1e6:
        return None
    when = from_micros(row["time"])
    assert when is not None
    told = (row["event_name"], row["messenger"], row["alert_tense"], row["map_revision"])
    return LiveMap(*told, when, row["map_path"], window)


def real() -> ColumnElement[bool]:
    """The condition that an event is no test, injection or commanded one."""
    return tables.events.c.real.is_(True)
