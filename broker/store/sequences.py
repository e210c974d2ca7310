"""Detection-to-follow-up sequences of events: read from notices, circulars, alerts in maps and reported observations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select, tuple_

from broker.errors import NotFoundError, UsageError
from broker.store import observations, tables
from broker.store.associations import LIVE
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.live_events import real
from broker.store.sequence_steps import Asked, Step, followed, steps_of
from broker.store.times import from_micros, to_micros

__all__ = ["FollowUp", "SequencePage", "listing", "of_event"]

_CHUNK: Final = 200  # events read at once
_LOOKED: Final = 1000  # events looked at for one page
_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What became of an event: its row of the table of events, and its steps, the first one first."""

    event: Mapping[str, Any]
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class SequencePage:
    """Some sequences, and the cursor of the next page, if there is one."""

    sequences: list[FollowUp]
    cursor: str | None


def of_event(store: Store, event_name: str) -> FollowUp:
    """Sequence of the event that goes by a name now.

    Raises
    ------
    NotFoundError
        No such event.
    """
    event = tables.events
    found = _sequences(store, select(event).where(event.c.event_name == event_name))
    if not found:
        raise NotFoundError(f"no event {event_name!r}: see the list of events")
    return found[0]


def listing(
    store: Store,
    asked: Asked,
    *,
    mission: str | None = None,
    messenger: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    real_only: bool = False,
    limit: int = 100,
    cursor: str | None = None,
) -> SequencePage:
    """Sequences of events that were followed as is asked for, that of the latest event first.

    Parameters
    ----------
    asked
        Which follow-up: of each sequence the detection and that are told. What has no follow-up at all is left out.
    mission, messenger
        Of the event.
    since, until
        Half-open window of the events' time.
    real_only
        Leave out tests, mock events, injections and commanded events.

    Returns
    -------
    SequencePage
        No more than `_LOOKED` events are looked at for a page: it can be short, or empty, and have one that comes after it.

    Raises
    ------
    UsageError
        The limit or the cursor is not good.
    """
    if not 1 <= limit <= 1000:
        raise UsageError(f"limit {limit} is out of range: 1 to 1000")
    event = tables.events.c
    wanted = _events(mission, messenger, since, until, real_only=real_only)
    found: list[FollowUp] = []
    place = None if cursor is None else read_cursor(cursor, "sequence")
    looked = 0
    while looked < _LOOKED:
        some = wanted if place is None else wanted.where(tuple_(event.time, event.event_name) < tuple_(int(place[0]), place[1]))
        read = _sequences(store, some.limit(_CHUNK))
        for one in read:
            looked += 1
            place = (to_micros(one.event["time"]), one.event["event_name"])
            steps = followed(one.steps, asked)
            if steps:
                found.append(FollowUp(one.event, steps))
            if len(found) == limit:
                return SequencePage(found, write_cursor("sequence", *place))
        if len(read) < _CHUNK:
            return SequencePage(found, None)
    assert place is not None
    return SequencePage(found, write_cursor("sequence", *place))


def _events(
    mission: str | None, messenger: str | None, since: datetime | None, until: datetime | None, *, real_only: bool
) -> Select[Any]:
    event = tables.events.c
    wanted = select(tables.events).where(event.time.is_not(None)).order_by(event.time.desc(), event.event_name.desc())
    for column, wished in ((func.lower(event.mission), mission and mission.lower()), (event.messenger, messenger)):
        if wished is not None:
            wanted = wanted.where(column == wished)
    if since is not None:
        wanted = wanted.where(event.time >= to_micros(since))
    if until is not None:
        wanted = wanted.where(event.time < to_micros(until))
    return wanted.where(real()) if real_only else wanted


def _sequences(store: Store, wanted: Select[Any]) -> list[FollowUp]:
    with connection(store) as conn:
        events = [dict(row) | {"time": from_micros(row["time"])} for row in conn.execute(wanted).mappings()]
        names = [event["event_name"] for event in events]
        notices, circulars, alerts = _notices(conn, names), _circulars(conn, names), _alerts(conn, names)
    looked: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in observations.of_events(store, names):
        looked[row["event_name"]].append(row)
    return [
        FollowUp(event, steps_of(event, notices[name], circulars[name], alerts[name], looked[name]))
        for name, event in zip(names, events, strict=True)
    ]


def _grouped(conn: Connection, wanted: Select[Any], instants: tuple[str, ...]) -> defaultdict[str, list[Mapping[str, Any]]]:
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in conn.execute(wanted).mappings():
        found[row["event_name"]].append(dict(row) | {name: from_micros(row[name]) for name in instants})
    return found


def _notices(conn: Connection, names: Sequence[str]) -> defaultdict[str, list[Mapping[str, Any]]]:
    row = tables.event_notices.c
    columns = (row.event_name, row.mission, row.instrument, row.messenger, row.type, row.issued, row.received, row.alert_id)
    return _grouped(conn, select(*columns).where(row.event_name.in_(names)), ("issued", "received"))


def _circulars(conn: Connection, names: Sequence[str]) -> defaultdict[str, list[Mapping[str, Any]]]:
    row = tables.event_circulars.c
    columns = (row.event_name, row.circular, row.subject, row.submitter, row.posted, row.received, row.alert_id)
    wanted = select(*columns).where(row.event_name.in_(names)).order_by(row.received, row.alert_id)
    found = _grouped(conn, wanted, ("posted", "received"))
    for event, rows in found.items():  # of a circular and its edits, the first one was the news
        found[event] = list({each["circular"]: each for each in reversed(rows)}.values())
    return found


def _alerts(conn: Connection, names: Sequence[str]) -> defaultdict[str, list[Mapping[str, Any]]]:
    """Alerts in the maps of events that came after them, a row a survey, band and day."""
    found, alert = tables.associations.c, tables.alerts.c
    day = found.time // _DAY
    wanted = (
        select(
            found.event_name,
            alert.stream,
            alert.band,
            func.min(found.time).label("first"),
            func.max(found.time).label("last"),
            func.count().label("count"),
            func.min(found.alert_id).label("alert_id"),
        )
        .join_from(tables.associations, tables.alerts, found.alert_id == alert.alert_id)
        .where(found.event_name.in_(names), found.state == LIVE, found.dt >= 0.0)
        .group_by(found.event_name, alert.stream, alert.band, day)
    )
    return _grouped(conn, wanted, ("first", "last"))
