"""Which alerts lie in the sky maps of which events: one row an event and alert, as of the latest map either was held against.

A row stays when a later map no longer holds the alert (``left``), or the event is retracted (``retracted``), so that
whoever was told can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from sqlalchemy import Connection, delete, select, update

from broker.store import relayed, tables
from broker.store.bulk import clean, upsert
from broker.store.engine import Store, connection
from broker.store.revisions import RENAMED
from broker.store.times import now

__all__ = [
    "FIELDS",
    "LEFT",
    "LIVE",
    "RETRACTED",
    "concerned",
    "of_event",
    "of_frame",
    "present",
    "renamed",
    "stale",
    "state_of",
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
_CHUNK: Final = 500

Distances = Callable[[pl.DataFrame], npt.NDArray[np.float64]]


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
        State of the events, `broker.store.live_events.version`, before their maps were asked for.
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
    relayed.renamed(conn, old, new)


RENAMED.append(renamed)


def stale(conn: Connection, event_name: str, revision: int | None) -> bool:
    """Whether an event has live alerts that were not found on this revision; ``None`` for any."""
    found = tables.associations.c
    wanted = select(found.alert_id).where(found.event_name == event_name, found.state == LIVE)
    if revision is not None:
        wanted = wanted.where(found.revision != revision)
    return conn.execute(wanted.limit(1)).first() is not None


def state_of(conn: Connection, event_name: str, alert_id: str) -> str | None:
    """`LIVE`, `LEFT` or `RETRACTED`; ``None`` of an alert that never was in a map of the event."""
    found = tables.associations.c
    asked = select(found.state).where(found.event_name == event_name, found.alert_id == alert_id)
    state: str | None = conn.execute(asked).scalar()
    return state


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


def present(conn: Connection, alert_ids: Sequence[str]) -> set[str]:
    """Those of some alerts that the database has."""
    alert = tables.alerts.c.alert_id
    found: set[str] = set()
    for first in range(0, len(alert_ids), _CHUNK):
        found.update(conn.execute(select(alert).where(alert.in_(alert_ids[first : first + _CHUNK]))).scalars())
    return found


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
