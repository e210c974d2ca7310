"""Pages of alerts: by position, object, time, stream and filter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select, tuple_

from broker.errors import UsageError
from broker.science.sky import cone_ranges, separation
from broker.store import tables
from broker.store.alerts import select_alerts, shown
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.times import to_micros

__all__ = ["MAX_CANDIDATES", "MAX_LIMIT", "MAX_RADIUS", "AlertQuery", "Cone", "Page", "search"]

MAX_RADIUS = 90.0
"""Degrees."""
MAX_LIMIT = 10_000
MAX_CANDIDATES = 1_000_000
"""Alerts a cone search is ready to compare."""
_CHUNK = 500  # ids asked for at once: far below the number of variables a statement may have


@dataclass(frozen=True, slots=True)
class Cone:
    """A circle on the sky: centre and radius in degrees, ICRS."""

    ra: float
    dec: float
    radius: float


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """What to look for; all that is given must hold.

    Parameters
    ----------
    cone
        Only alerts with a position inside, nearest first.
    object_id, stream, event_name
        Exact.
    filter
        Picked by the filter of that name, any version.
    start, end
        Half-open window of time; an alert without a time counts by its receipt.
    real_only
        Leave out tests, injections and commanded alerts.
    limit
        Alerts a page.
    cursor
        Of the page before.
    """

    cone: Cone | None = None
    object_id: str | None = None
    stream: str | None = None
    event_name: str | None = None
    filter: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    real_only: bool = False
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some alerts, and where the next page begins.

    Parameters
    ----------
    alerts
        As `broker.store.alerts.as_dict`; with ``separation`` (degrees) in a cone search.
    cursor
        For the next page; ``None`` on the last.
    """

    alerts: list[dict[str, Any]]
    cursor: str | None


def search(store: Store, query: AlertQuery) -> Page:
    """One page: nearest first in a cone, else newest first.

    Raises
    ------
    UsageError
        A value is out of its range, the cursor is not of this kind of search, or too many alerts lie in the cone.
    """
    _check(query)
    with connection(store) as conn:
        return _newest(conn, query) if query.cone is None else _nearest(conn, query, query.cone)


def _check(query: AlertQuery) -> None:
    if not 1 <= query.limit <= MAX_LIMIT:
        raise UsageError(f"limit {query.limit} is out of range: 1 to {MAX_LIMIT}")
    if query.start is not None and query.end is not None and to_micros(query.start) > to_micros(query.end):
        raise UsageError(f"the window ends at {query.end} before it starts at {query.start}")
    if query.cone is None:
        return
    cone = query.cone
    if not (math.isfinite(cone.ra) and -360.0 <= cone.ra <= 360.0):
        raise UsageError(f"ra {cone.ra} is off the sphere: degrees, 0 to 360")
    if not -90.0 <= cone.dec <= 90.0:
        raise UsageError(f"dec {cone.dec} is off the sphere: degrees, -90 to 90")
    if not 0.0 < cone.radius <= MAX_RADIUS:
        raise UsageError(f"radius {cone.radius} is out of range: degrees, above 0 up to {MAX_RADIUS:g}")


def _conditions(query: AlertQuery) -> list[ColumnElement[bool]]:
    alert, match = tables.alerts.c, tables.matches.c
    found: list[ColumnElement[bool]] = []
    for column, value in (
        (alert.object_id, query.object_id),
        (alert.stream, query.stream),
        (alert.event_name, query.event_name),
    ):
        if value is not None:
            found.append(column == value)
    if query.start is not None:
        found.append(alert.sort_time >= to_micros(query.start))
    if query.end is not None:
        found.append(alert.sort_time < to_micros(query.end))
    if query.filter is not None:
        found.append(exists().where(match.alert_id == alert.alert_id, match.filter == query.filter))
    if query.real_only:
        found.append(or_(alert.alert_tense.is_(None), alert.alert_tense.not_in(tables.NOT_REAL)))
    return found


def _newest(conn: Connection, query: AlertQuery) -> Page:
    alert = tables.alerts.c
    wanted = select_alerts().where(*_conditions(query)).order_by(alert.sort_time.desc(), alert.alert_id.desc())
    if query.cursor is not None:
        instant, alert_id = read_cursor(query.cursor, "time")
        wanted = wanted.where(tuple_(alert.sort_time, alert.alert_id) < tuple_(int(instant), alert_id))
    rows = conn.execute(wanted.limit(query.limit + 1)).mappings().all()
    page = rows[: query.limit]
    more = len(rows) > query.limit
    cursor = write_cursor("time", page[-1]["sort_time"], page[-1]["alert_id"]) if more else None
    return Page(shown(conn, page), cursor)


def _nearest(conn: Connection, query: AlertQuery, cone: Cone) -> Page:
    ids, distances = _within(conn, query, cone)
    order = np.lexsort((ids, distances))
    ids, distances = ids[order], distances[order]
    if query.cursor is not None:
        distance, alert_id = read_cursor(query.cursor, "separation")
        after = (distances > distance) | ((distances == distance) & (ids > alert_id))
        ids, distances = ids[after], distances[after]
    page = [str(alert_id) for alert_id in ids[: query.limit]]
    rows = _by_id(conn, page)
    found = [rows[i] | {"separation": float(d)} for i, d in zip(page, distances, strict=False) if i in rows]
    more = len(ids) > query.limit
    return Page(found, write_cursor("separation", float(distances[query.limit - 1]), page[-1]) if more else None)


def _within(conn: Connection, query: AlertQuery, cone: Cone) -> tuple[Any, Any]:
    """Ids and exact separations of the alerts in a cone: those of the cells that cover it, compared one by one."""
    alert = tables.alerts.c
    ranges = cone_ranges(cone.ra, cone.dec, cone.radius)
    cells = or_(*(and_(alert.hpx >= int(start), alert.hpx < int(stop)) for start, stop in ranges))
    wanted = select(alert.alert_id, alert.ra, alert.dec).where(cells, *_conditions(query)).limit(MAX_CANDIDATES + 1)
    rows = conn.execute(wanted).all()
    if len(rows) > MAX_CANDIDATES:
        raise UsageError(
            f"more than {MAX_CANDIDATES} alerts lie near ra {cone.ra}, dec {cone.dec}, radius {cone.radius}: "
            "give a smaller radius, a stream or a window of time"
        )
    ids = np.array([row[0] for row in rows], dtype=object)
    places = np.array([(row[1], row[2]) for row in rows], np.float64).reshape(-1, 2)
    distances = separation(cone.ra, cone.dec, places[:, 0], places[:, 1])
    inside = distances <= cone.radius
    return ids[inside], distances[inside]


def _by_id(conn: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), _CHUNK):
        wanted = select_alerts().where(tables.alerts.c.alert_id.in_(ids[first : first + _CHUNK]))
        found.update((row["alert_id"], row) for row in shown(conn, conn.execute(wanted).mappings().all()))
    return found
