"""Events: notices grouped by the name of what they tell of, each kept as a numbered revision.

An event's row says what is known now: of each quantity the latest value that some revision gave, position and error always from
one revision, the map likewise. Revisions are numbered as they come. A retraction is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, or_, select, tuple_

from broker.errors import NotFoundError, UsageError
from broker.store import tables
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.revisions import upsert_notices
from broker.store.times import from_micros, to_micros

__all__ = ["EventPage", "LiveMap", "get_event", "list_events", "live_maps", "upsert_notices", "version"]

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


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and the cursor of the next page, if there is one."""

    events: list[dict[str, Any]]
    cursor: str | None


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
        wanted = wanted.where(_real())
    with connection(store) as conn:
        rows = conn.execute(wanted).all()
    live: list[LiveMap] = []
    for row in rows:
        window = windows.get(row.messenger or "", windows.get(""))
        if window is None:
            continue
        if to_micros(end) >= row.time + window[0] * 1e6 and to_micros(start) <= row.time + window[1] * 1e6:
            when = from_micros(row.time)
            assert when is not None
            live.append(LiveMap(row.event_name, row.messenger, row.alert_tense, row.map_revision, when, row.map_path, window))
    return live


def list_events(
    store: Store,
    *,
    limit: int = 100,
    cursor: str | None = None,
    real_only: bool = False,
    stream: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> EventPage:
    """Events, the one that changed last first.

    Parameters
    ----------
    start, end
        Half-open window of the events' own time.

    Raises
    ------
    UsageError
        The limit or the cursor is not good.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError(f"limit {limit} is out of range: 1 to 10000")
    event = tables.events.c
    wanted = select(tables.events).order_by(event.updated.desc(), event.event_name.desc()).limit(limit + 1)
    if cursor is not None:
        value, name = read_cursor(cursor, "event")
        wanted = wanted.where(tuple_(event.updated, event.event_name) < tuple_(int(value), name))
    if real_only:
        wanted = wanted.where(_real())
    if stream is not None:
        wanted = wanted.where(event.stream == stream)
    if start is not None:
        wanted = wanted.where(event.time >= to_micros(start))
    if end is not None:
        wanted = wanted.where(event.time < to_micros(end))
    with connection(store) as conn:
        rows = conn.execute(wanted).mappings().all()
    shown = rows[:limit]
    more = len(rows) > limit
    return EventPage(
        [_shown(row) for row in shown], write_cursor("event", shown[-1]["updated"], shown[-1]["event_name"]) if more else None
    )


def get_event(store: Store, event_name: str) -> dict[str, Any]:
    """An event with its revisions.

    Returns
    -------
    dict
        What is known now, and ``revisions``: a list in the order they came.

    Raises
    ------
    NotFoundError
        No such event.
    """
    notice = tables.event_notices
    with connection(store) as conn:
        row = conn.execute(select(tables.events).where(tables.events.c.event_name == event_name)).mappings().first()
        rows = (
            conn.execute(select(notice).where(notice.c.event_name == event_name).order_by(notice.c.revision)).mappings().all()
        )
    if row is None:
        raise NotFoundError(f"no event {event_name!r}: see the list of events")
    return _shown(row) | {"revisions": [_shown(each) for each in rows]}


def _real() -> ColumnElement[bool]:
    tense = tables.events.c.alert_tense
    return or_(tense.is_(None), tense.not_in(tables.NOT_REAL))


def _shown(row: RowMapping) -> dict[str, Any]:
    instants = ("time", "received", "created", "updated")
    return dict(row) | {name: from_micros(row[name]) for name in instants if name in row}
