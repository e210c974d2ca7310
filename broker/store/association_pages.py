"""Associations as people read them: an event's alerts a page at a time, and what an alert's maps say now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, RowMapping, select, tuple_

from broker.alert import EVENT_KINDS
from broker.errors import UsageError
from broker.store import tables
from broker.store.associations import FIELDS, LIVE
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.times import from_micros

__all__ = ["AssociationPage", "live", "page", "refresh"]

_ALERT: Final = ("object_id", "stream", "time", "ra", "dec", "mag", "band")
_CHUNK: Final = 500


@dataclass(frozen=True, slots=True)
class AssociationPage:
    """Some of an event's alerts, and the cursor of the next page, if there is one."""

    alerts: list[dict[str, Any]]
    cursor: str | None


def page(store: Store, event_name: str, *, level: float = 1.0, limit: int = 100, cursor: str | None = None) -> AssociationPage:
    """An event's alerts, those deepest in its map first.

    Parameters
    ----------
    event_name
        The name it is kept under.
    level
        Only those up to this credible level.

    Returns
    -------
    AssociationPage
        Of each alert: ``alert_id, object_id, stream, time, ra, dec, mag, band``, ``credible_level, volume_level, density, dt``,
        ``distance, revision, state, previous_level, computed``.

    Raises
    ------
    UsageError
        The limit, the level or the cursor is not good.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError(f"limit {limit} is out of range: 1 to 10000")
    if not 0.0 < level <= 1.0:
        raise UsageError(f"level {level} is no credible level: above 0, up to 1")
    found, alert = tables.associations.c, tables.alerts.c
    own = ("alert_id", "credible_level", "volume_level", "density", "dt", "distance", "revision", "state")
    wanted = (
        select(*(found[name] for name in (*own, "previous_level", "computed")), *(alert[name] for name in _ALERT))
        .join_from(tables.associations, tables.alerts, found.alert_id == alert.alert_id)
        .where(found.event_name == event_name, found.credible_level <= level)
        .order_by(found.credible_level, found.alert_id)
        .limit(limit + 1)
    )
    if cursor is not None:
        value, alert_id = read_cursor(cursor, "association")
        wanted = wanted.where(tuple_(found.credible_level, found.alert_id) > tuple_(value, alert_id))
    with connection(store) as conn:
        rows = [dict(row) for row in conn.execute(wanted).mappings()]
    shown = [row | {name: from_micros(row[name]) for name in ("time", "computed")} for row in rows[:limit]]
    more = len(rows) > limit
    after = write_cursor("association", shown[-1]["credible_level"], shown[-1]["alert_id"]) if more else None
    return AssociationPage(shown, after)


def live(store: Store) -> pl.DataFrame:
    """What lies in which map now: ``alert_id``, ``event``, ``messenger``, ``revision``, levels, ``density``, ``dt``."""
    found, event = tables.associations.c, tables.events.c
    asked = (
        select(*(found[name] for name in ("alert_id", "event_name", "revision", *FIELDS)), event.messenger)
        .join_from(tables.associations, tables.events, event.event_name == found.event_name, isouter=True)
        .where(found.state == LIVE)
    )
    numbers = dict.fromkeys(FIELDS, pl.Float64)
    schema = {"alert_id": pl.String, "event": pl.String, "revision": pl.Int64, **numbers, "messenger": pl.String}
    with connection(store) as conn:
        return pl.DataFrame([tuple(row) for row in conn.execute(asked)], schema=schema, orient="row")


def refresh(conn: Connection, alerts: Sequence[dict[str, Any]]) -> None:
    """Bring sky maps and their annotations in alerts up to date, which say what was so when the alerts came.

    Parameters
    ----------
    alerts
        As `broker.store.alerts.as_dict`; changed in place.
    """
    ids = sorted({alert["alert_id"] for alert in alerts if alert["event_name"] is None})
    rows: defaultdict[str, list[RowMapping]] = defaultdict(list)
    found, event = tables.associations.c, tables.events.c
    for first in range(0, len(ids), _CHUNK):
        asked = (
            select(tables.associations, event.messenger)
            .outerjoin(tables.events, event.event_name == found.event_name)
            .where(found.alert_id.in_(ids[first : first + _CHUNK]))
            .order_by(found.credible_level, found.event_name)
        )
        for row in conn.execute(asked).mappings():
            rows[row["alert_id"]].append(row)
    old = tuple(f"{kind}." for kind in EVENT_KINDS.values())
    for alert in alerts:
        if alert["alert_id"] in rows:
            live = [row for row in rows[alert["alert_id"]] if row["state"] == LIVE]
            kept = {name: value for name, value in alert["annotations"].items() if not name.startswith(old)}
            alert["skymaps"] = [{"event": row["event_name"], "revision": row["revision"], **_said(row)} for row in live]
            alert["annotations"] = kept | _deepest(live)


def _said(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in FIELDS}


def _deepest(rows: Sequence[RowMapping]) -> dict[str, Any]:
    """Annotations of the first row of each kind of event."""
    found: dict[str, Any] = {}
    for row in reversed(rows):
        kind = EVENT_KINDS.get((row["messenger"] or "").lower())
        if kind is not None:
            found |= {f"{kind}.{name}": value for name, value in ({"event": row["event_name"]} | _said(row)).items()}
    return {name: value for name, value in found.items() if value is not None}
