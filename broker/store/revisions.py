"""Notices into events: each a numbered revision, and what all of an event's revisions together say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, Table, delete, select

from broker.record import Record
from broker.store import tables
from broker.store.bulk import clean, upsert
from broker.store.provenance import provenance

__all__ = ["EventChange", "upsert_notices"]

_LOCK = 0x4E554E45  # "NUNE"
_CHUNK = 500

_POSITION = ("ra", "dec", "ra_dec_error", "containment_probability")
_MAP = ("map_path", "area50", "area90", "distmean", "diststd")
_EACH = ("messenger", "mission", "instrument", "time", "alert_type", "alert_tense", "far", "p_astro", "classification")


@dataclass(frozen=True, slots=True)
class EventChange:
    """What a notice did to its event.

    Parameters
    ----------
    event_name
        The event's name now.
    alert_id, revision
        Of the notice, and its number within the event.
    map_changed
        Whether the notice brought a map or an error circle.
    retracted
        Whether the notice retracts the event.
    real
        Whether the event is no test, injection, commanded or mock event.
    """

    event_name: str
    alert_id: str
    revision: int
    map_changed: bool
    retracted: bool
    real: bool


def upsert_notices(
    conn: Connection, frame: pl.DataFrame, records: Sequence[Record], maps: Mapping[str, str] | None = None
) -> list[EventChange]:
    """Keep the notices of a batch and bring their events up to date.

    Parameters
    ----------
    conn
        In a transaction.
    frame
        Common columns, ``_record``, and ``skymap.area50, skymap.area90, skymap.distmean, skymap.diststd`` where known; rows
        without an event name are passed over.
    records
        Of the batch.
    maps
        Path of the map, below the folder of maps, by alert id.

    Returns
    -------
    list of EventChange
        One a notice that belongs to an event, in their order. A notice that is there already keeps its number.
    """
    notices = _notices(frame, records, maps or {})
    if not notices:
        return []
    if conn.dialect.name == "postgresql":  # numbers are given by one writer at a time
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    named = {notice["alert_id"]: notice["event_name"] for notice in notices}
    before = _by(conn, tables.event_notices.c.alert_id, named)
    moved = [old for old in before if old["event_name"] != named[old["alert_id"]]]
    if moved:
        conn.execute(
            delete(tables.event_notices).where(tables.event_notices.c.alert_id.in_([old["alert_id"] for old in moved]))
        )
    touched = {notice["event_name"] for notice in notices} | {old["event_name"] for old in moved}
    histories: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for old in _by(conn, tables.event_notices.c.event_name, sorted(touched)):
        histories[old["event_name"]][old["alert_id"]] = old
    last = {name: max((each["revision"] for each in history.values()), default=0) for name, history in histories.items()}
    for notice in notices:
        name = notice["event_name"]
        known = histories[name].get(notice["alert_id"])
        if known is None:
            last[name] = last.get(name, 0) + 1
        notice["revision"] = last[name] if known is None else known["revision"]
        histories[name][notice["alert_id"]] = notice
    _write(conn, touched, histories, notices)
    return [
        EventChange(
            event_name=notice["event_name"],
            alert_id=notice["alert_id"],
            revision=notice["revision"],
            map_changed=notice["map_path"] is not None,
            retracted=(notice["alert_type"] or "").lower() == "retraction",
            real=notice["alert_tense"] not in tables.NOT_REAL,
        )
        for notice in notices
    ]


def _notices(frame: pl.DataFrame, records: Sequence[Record], maps: Mapping[str, str]) -> list[dict[str, Any]]:
    named = frame.filter(pl.col("event_name").is_not_null() & (pl.col("event_name") != ""))
    if named.is_empty():
        return []
    wanted = ("alert_id", "event_name", "stream", *_EACH, *_POSITION)
    stats = [
        (pl.col(f"skymap.{name}") if f"skymap.{name}" in named.columns else pl.lit(None)).cast(pl.Float64).alias(name)
        for name in _MAP
        if name != "map_path"
    ]
    rows = clean(
        named.select(*(pl.col(name) for name in wanted), *stats).with_columns(
            pl.col("time").dt.epoch("us"), provenance(named, records, ())["received"]
        )
    ).unique("alert_id", keep="last", maintain_order=True)
    return [row | {"map_path": maps.get(row["alert_id"])} for row in rows.to_dicts()]


def _by(conn: Connection, column: Any, values: Collection[str]) -> list[dict[str, Any]]:
    asked = list(values)
    found: list[dict[str, Any]] = []
    for first in range(0, len(asked), _CHUNK):
        wanted = select(tables.event_notices).where(column.in_(asked[first : first + _CHUNK]))
        found += [dict(row) for row in conn.execute(wanted).mappings()]
    return found


def _write(
    conn: Connection,
    touched: set[str],
    histories: Mapping[str, Mapping[str, dict[str, Any]]],
    notices: Sequence[dict[str, Any]],
) -> None:
    now_known = [_known(name, list(histories[name].values())) for name in sorted(touched) if histories[name]]
    upsert(conn, tables.events, _frame(tables.events, now_known))
    upsert(conn, tables.event_notices, _frame(tables.event_notices, notices))
    empty = [name for name in touched if not histories[name]]
    if empty:
        conn.execute(delete(tables.events).where(tables.events.c.event_name.in_(empty)))
    conn.exec_driver_sql(
        "INSERT INTO counters (name, value) VALUES ('events', 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )


def _known(event_name: str, history: list[dict[str, Any]]) -> dict[str, Any]:
    """What all revisions together say."""
    history.sort(key=lambda notice: notice["revision"])
    newest_first = history[::-1]
    last = newest_first[0]

    def latest(name: str) -> dict[str, Any]:
        return next((notice for notice in newest_first if notice[name] is not None), last)

    placed, mapped = latest("ra"), latest("map_path")
    retracted = any((notice["alert_type"] or "").lower() == "retraction" for notice in history)
    return {
        "event_name": event_name,
        "stream": last["stream"],
        **{name: latest(name)[name] for name in _EACH},
        **{name: placed[name] for name in _POSITION},
        **{name: mapped[name] for name in _MAP},
        "map_revision": mapped["revision"] if mapped["map_path"] is not None else None,
        "state": "retracted" if retracted else "active",
        "revision": last["revision"],
        "alert_id": last["alert_id"],
        "created": min(notice["received"] for notice in history),
        "updated": max(notice["received"] for notice in history),
    }


def _frame(table: Table, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    types = {column.name: _polars_type(column.type.python_type) for column in table.columns}
    return pl.DataFrame(rows, schema=types)


def _polars_type(python_type: type) -> type[pl.DataType]:
    return {int: pl.Int64, float: pl.Float64}.get(python_type, pl.String)
