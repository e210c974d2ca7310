"""Which alerts lie in the sky maps of which events: one row an event and alert, as of the latest map either was held against.

A row stays when a later map no longer holds the alert (``left``), or the event is retracted (``retracted``), so that
whoever was told can be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Connection, RowMapping, delete, select, tuple_, update

from broker.alert import EVENT_KINDS
from broker.errors import UsageError
from broker.store import tables
from broker.store.bulk import clean, upsert
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.revisions import RENAMED
from broker.store.times import from_micros, now

__all__ = [
    "FIELDS",
    "LEFT",
    "LIVE",
    "RETRACTED",
    "AssociationPage",
    "concerned",
    "of_event",
    "of_frame",
    "page",
    "present",
    "refresh",
    "renamed",
    "stale",
    "told",
    "upsert_rows",
    "write",
]

LIVE, LEFT, RETRACTED = "live", "left", "retracted"

FIELDS: Final = ("credible_level", "density", "dt", "volume_level")
"""What an association says beside whose it is: levels 0 to 1, probability per steradian, seconds."""

_KNOWN: Final = {
    "alert_id": pl.String,
    "hpx": pl.Int64,
    "time": pl.Int64,
    "revision": pl.Int64,
    "state": pl.String,
    "credible_level": pl.Float64,
    "density": pl.Float64,
    "dt": pl.Float64,
    "volume_level": pl.Float64,
    "distance": pl.Float64,
    "cause": pl.String,
    "previous_level": pl.Float64,
    "previous_volume": pl.Float64,
}
_WRITTEN: Final = ("alert_id", "hpx", "time", "revision", *FIELDS, "distance")
_ALERT: Final = ("object_id", "stream", "time", "ra", "dec", "mag", "band")
_CHUNK: Final = 500

Distances = Callable[[pl.DataFrame], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class AssociationPage:
    """Some of an event's alerts, and the cursor of the next page, if there is one."""

    alerts: list[dict[str, Any]]
    cursor: str | None


def of_frame(frame: pl.DataFrame, distances: Distances) -> pl.DataFrame:
    """Associations that a frame's column ``skymaps`` lists.

    Parameters
    ----------
    frame
        With ``alert_id``, ``hpx``, ``time``, ``skymaps`` and whatever `distances` reads.
    distances
        Mpc, of a frame's alerts; NaN where not known.

    Returns
    -------
    DataFrame
        A row an association: ``event_name, alert_id, hpx, time`` (microseconds), ``revision``, `FIELDS` and ``distance``.
    """
    if "skymaps" not in frame.columns or frame["skymaps"].null_count() == frame.height:
        return pl.DataFrame(schema={"event_name": pl.String, **{name: _KNOWN[name] for name in _WRITTEN}})
    inside = frame.filter(pl.col("skymaps").list.len() > 0)
    far = pl.Series("distance", distances(inside)).fill_nan(None)
    listed = (
        inside.select("alert_id", "hpx", pl.col("time").dt.epoch("us"), "skymaps")
        .with_columns(far)
        .explode("skymaps")
        .unnest("skymaps")
    )
    return clean(listed.select(pl.col("event").alias("event_name"), *_WRITTEN))


def write(conn: Connection, frame: pl.DataFrame, distances: Distances, version: int) -> None:
    """Keep what a batch of survey alerts was found in; what was found in a later state of the events stays.

    Parameters
    ----------
    conn
        In a transaction.
    frame, distances
        As `of_frame`.
    version
        State of the events, `broker.store.events.version`, before their maps were asked for.
    """
    upsert_rows(conn, of_frame(frame, distances).with_columns(pl.lit(LIVE).alias("state")), version)


def upsert_rows(conn: Connection, rows: pl.DataFrame, version: int) -> None:
    """Keep associations, columns as the table's; what was found in a later state of the events stays."""
    if rows.is_empty():
        return
    once = rows.unique(("event_name", "alert_id"), keep="last", maintain_order=True)
    stamps = (pl.lit(version, pl.Int64).alias("version"), pl.lit(now(), pl.Int64).alias("computed"))
    upsert(conn, tables.associations, once.with_columns(stamps), unless_older="version")


def renamed(conn: Connection, old: str, new: str) -> None:
    """Alerts of an event that has become part of another, or goes by another name."""
    association = tables.associations
    both = select(association.c.alert_id).where(association.c.event_name == new)
    mine = association.c.event_name == old
    conn.execute(delete(association).where(mine, association.c.alert_id.in_(both)))
    conn.execute(update(association).where(mine).values(event_name=new))


RENAMED.append(renamed)


def stale(conn: Connection, event_name: str, revision: int | None) -> bool:
    """Whether an event has live alerts that were not found on this revision; ``None`` for any."""
    found = tables.associations.c
    wanted = select(found.alert_id).where(found.event_name == event_name, found.state == LIVE)
    if revision is not None:
        wanted = wanted.where(found.revision != revision)
    return conn.execute(wanted.limit(1)).first() is not None


def of_event(conn: Connection, event_name: str) -> pl.DataFrame:
    """All rows of an event, whatever their state: whose they are, what they say, and what they said before."""
    wanted = select(*(tables.associations.c[name] for name in _KNOWN)).where(tables.associations.c.event_name == event_name)
    rows = conn.execute(wanted).all()
    return pl.DataFrame([tuple(row) for row in rows], schema=_KNOWN, orient="row")


def told(conn: Connection, event_name: str, filters: Collection[str]) -> pl.DataFrame:
    """Which of some filters have picked which of an event's alerts: ``filter, version, alert_id``."""
    association, match = tables.associations.c, tables.matches.c
    wanted = (
        select(match.filter, match.version, match.alert_id)
        .join_from(tables.associations, tables.matches, match.alert_id == association.alert_id)
        .where(association.event_name == event_name, match.filter.in_(list(filters)))
    )
    rows = conn.execute(wanted).all()
    schema = {"filter": pl.String, "version": pl.String, "alert_id": pl.String}
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")


def previous_level(store: Store, event_name: str, alert_id: str) -> float | None:
    """Credible level of an alert before the notice that changed it last; ``None`` where it was not in the map before."""
    table = tables.associations.c
    asked = select(table.previous_level).where(table.event_name == event_name, table.alert_id == alert_id)
    with connection(store) as conn:
        found: float | None = conn.execute(asked).scalar_one_or_none()
    return found


def present(conn: Connection, alert_ids: Sequence[str]) -> set[str]:
    """Those of some alerts that the database has."""
    alert = tables.alerts.c.alert_id
    found: set[str] = set()
    for first in range(0, len(alert_ids), _CHUNK):
        found.update(conn.execute(select(alert).where(alert.in_(alert_ids[first : first + _CHUNK]))).scalars())
    return found


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


def concerned(
    store: Store, names: Sequence[str], times: npt.NDArray[np.int64], windows: Mapping[str, tuple[float, float]]
) -> frozenset[str]:
    """Which events there can be something to say of: those with associations, or with survey alerts in their window of time.

    Parameters
    ----------
    times
        Of survey alerts, in microseconds, ascending.
    windows
        Seconds from and to by messenger, ``""`` for any other.
    """
    event, associated = tables.events.c, tables.associations.c.event_name
    found = set[str]()
    with connection(store) as conn:
        for at in range(0, len(names), _CHUNK):
            some = names[at : at + _CHUNK]
            found.update(conn.execute(select(associated).where(associated.in_(some)).distinct()).scalars())
            asked = select(event.event_name, event.time, event.messenger).where(event.event_name.in_(some))
            for name, time, messenger in conn.execute(asked.where(event.time.is_not(None))).all():
                low, high = (time + round(edge * 1e6) for edge in windows.get(messenger or "", windows[""]))
                if np.searchsorted(times, low) < np.searchsorted(times, high, "right"):
                    found.add(name)
    return frozenset(found)
