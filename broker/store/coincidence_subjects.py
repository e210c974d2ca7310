"""What can coincide: events, and what other messengers saw in following them up."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, or_, select

from broker.store import tables
from broker.store.engine import Store, connection

__all__ = ["Subject", "near", "subjects"]

_CHUNK = 500
_SPANS = 100


@dataclass(frozen=True, slots=True)
class Subject:
    """What can coincide: an event, or a detection by another messenger that followed it up and is kept with it.

    Parameters
    ----------
    event_name, name
        Of the event it is kept under, and what it is called: the same but for follow-ups.
    time
        Microseconds, UTC.
    far
        Hz.
    types
        Notice types of its notices, each once, in the order they came.
    search_group, search
        Of a GW event: ``CBC`` or ``Burst``, and which search found it.
    revision
        Of the event.
    """

    event_name: str
    name: str
    messenger: str
    mission: str | None
    instrument: str | None
    types: tuple[str, ...]
    search_group: str | None
    search: str | None
    classification: str | None
    time: int | None
    far: float | None
    revision: int
    map_path: str | None
    real: bool
    retracted: bool
    follow_up: bool = False


def subjects(store: Store, names: Collection[str]) -> list[Subject]:
    """What can coincide of the events of these names; names that are no event's any more are passed over."""
    ordered = sorted(names)
    with connection(store) as conn:
        found: list[Subject] = []
        for first in range(0, len(ordered), _CHUNK):
            wanted = select(tables.events).where(tables.events.c.event_name.in_(ordered[first : first + _CHUNK]))
            found += _subjects(conn, conn.execute(wanted.order_by(tables.events.c.event_name)).mappings().all())
        return found


def near(store: Store, times: Collection[int], reach: float) -> list[Subject]:
    """What can coincide of the events that are near one of these times, those of one event together.

    Parameters
    ----------
    times
        Microseconds, UTC.
    reach
        Seconds.
    """
    event, found = tables.events.c, []
    spans = _spans(times, math.ceil(reach * 1e6))
    with connection(store) as conn:
        for first in range(0, len(spans), _SPANS):
            some = [event.time.between(*span) for span in spans[first : first + _SPANS]]
            wanted = select(tables.events).where(or_(*some)).order_by(event.event_name)
            found += _subjects(conn, conn.execute(wanted).mappings().all())
    return found


def _spans(times: Collection[int], reach: int) -> list[tuple[int, int]]:
    """Spans about times, joined where they overlap."""
    spans: list[tuple[int, int]] = []
    for time in sorted(times):
        if spans and time - reach <= spans[-1][1]:
            spans[-1] = (spans[-1][0], time + reach)
        else:
            spans.append((time - reach, time + reach))
    return spans


def _subjects(conn: Connection, events: Sequence[RowMapping]) -> list[Subject]:
    notice = tables.event_notices
    columns = ("event_name", "revision", "messenger", "mission", "instrument", "type", "search_group", "search", "names")
    more = ("time", "far", "map_path", "alert_type", "alert_tense")
    notices: dict[str, list[dict[str, Any]]] = {row["event_name"]: [] for row in events}
    names = list(notices)
    for first in range(0, len(names), _CHUNK):
        wanted = select(*(notice.c[name] for name in (*columns, *more))).where(
            notice.c.event_name.in_(names[first : first + _CHUNK])
        )
        for row in conn.execute(wanted.order_by(notice.c.event_name, notice.c.revision)).mappings():
            notices[row["event_name"]].append(dict(row))
    found: list[Subject] = []
    for event in events:
        if event["messenger"] is None:
            continue
        mine = notices[event["event_name"]]
        same = [row for row in mine if row["messenger"] == event["messenger"]]
        leading = [row for row in same if row["mission"] == event["mission"]]
        if same:  # else it is known by its follow-ups alone, which are no detections of it
            found.append(_subject(event, leading or same))
        found += _follow_ups(event, [row for row in mine if row["messenger"] not in {None, event["messenger"]}])
    return found


def _subject(event: RowMapping, own: Sequence[Mapping[str, Any]]) -> Subject:
    kept = ("event_name", "messenger", "mission", "instrument", "classification", "time", "far", "revision", "map_path", "real")
    return Subject(
        **{name: event[name] for name in kept},
        name=event["event_name"],
        types=_types(own),
        search_group=next((row["search_group"] for row in reversed(own) if row["search_group"]), None),
        search=next((row["search"] for row in reversed(own) if row["search"]), None),
        retracted=event["state"] == "retracted",
    )


def _types(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row["type"] for row in rows if row["type"]))


def _follow_ups(event: RowMapping, others: Iterable[Mapping[str, Any]]) -> list[Subject]:
    """What another messenger saw in following up the event, by the name it has for that: the latest that its notices say."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in others:
        own = [name for name in row["names"] or () if name != event["event_name"]]
        name = own[0] if own else f"{row['mission'] or row['messenger']} {event['event_name']}"
        by_name.setdefault(name, []).append(row)
    found = []
    for name, rows in by_name.items():
        newest = rows[::-1]

        def latest(column: str, newest: Sequence[Mapping[str, Any]] = newest) -> Any:
            return next((row[column] for row in newest if row[column] is not None), None)

        found.append(
            Subject(
                event_name=event["event_name"],
                name=name,
                messenger=newest[0]["messenger"],
                types=_types(rows),
                **{column: latest(column) for column in ("mission", "instrument", "search_group", "search")},
                classification=None,
                **{column: latest(column) for column in ("time", "far", "map_path")},
                revision=newest[0]["revision"],
                real=event["real"],
                retracted=event["state"] == "retracted" or any(row["alert_type"] == "retraction" for row in rows),
                follow_up=True,
            )
        )
    return found
