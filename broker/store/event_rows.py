"""Rows of events, of their notices, circulars and names: read before a batch, written after it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy import JSON, Connection, Table, delete, select

from broker.record import Record
from broker.store import tables
from broker.store.bulk import clean, upsert
from broker.store.names import Member, is_real, joined, keys_of
from broker.store.provenance import provenance

__all__ = ["Before", "Written", "incoming", "told_of", "touched", "write"]

_CHUNK = 500
_NOTICE_STREAMS = ("gcn", "lvk", "voevent")

_COLUMNS = (
    *("alert_id", "event_name", "stream", "messenger", "mission", "instrument", "time", "alert_type", "alert_tense", "far"),
    *("p_astro", "classification", "ra", "dec", "ra_dec_error", "containment_probability"),
)
_MEASURES = ("area50", "area90", "distmean", "diststd")
_LISTS = ("names", "refers", "related", "cites")
_SAID = ("ivorn", "issued", "serial", "significant", "stage", "type", "search_group", "search")
_STATED = (*_LISTS, *_SAID, "circular", "subject", "submitter")
_NOTHING_STATED: dict[str, Any] = {name: [] if name in _LISTS else None for name in _STATED}

Written = tuple[dict[str, Any], Sequence[dict[str, Any]], Sequence[Member], Mapping[str, tuple[str, bool]]]
"""An event: its row, its notices, its circulars, its aliases."""


@dataclass(frozen=True, slots=True)
class Before:
    """The events that a batch touches, as they are before it.

    Parameters
    ----------
    names
        Of the events.
    members
        Their notices and circulars, and notices that belonged to no event and are now cited.
    places
        Event and revision of each notice, by alert id.
    held
        Event by key.
    sizes
        Ids of each event's notices.
    """

    names: list[str]
    members: list[Member]
    places: dict[str, tuple[str, int]]
    held: dict[str, str]
    sizes: dict[str, list[str]] = field(default_factory=dict)

    def members_of(self, event_name: str) -> list[str]:
        """Ids of an event's notices."""
        return self.sizes.get(event_name, [])


def incoming(frame: pl.DataFrame, records: Sequence[Record], maps: Mapping[str, str]) -> list[Member]:
    """Notices and circulars of a batch that name or cite something, or may be cited, as rows; of several by one id the last."""
    stated = frame["_event"].to_list() if "_event" in frame.columns else [None] * frame.height
    measures = [
        (pl.col(f"skymap.{name}") if f"skymap.{name}" in frame.columns else pl.lit(None)).cast(pl.Float64).alias(name)
        for name in _MEASURES
    ]
    origin = provenance(frame, records, ())
    listed = clean(
        frame.select(*(pl.col(name) for name in _COLUMNS), *measures).with_columns(
            pl.col("time").dt.epoch("us"), origin["received"], origin["offset"]
        )
    ).to_dicts()
    found: dict[str, Member] = {}
    for row, said in zip(listed, stated, strict=True):
        more = _NOTHING_STATED | {name: value for name, value in (said or {}).items() if value is not None}
        if not more["names"] and row["event_name"]:
            more["names"] = [row["event_name"]]
        if not (more["names"] or more["refers"] or more["cites"] or more["ivorn"]):
            continue
        if more["issued"] is not None:
            more["issued"] = round(more["issued"].timestamp() * 1e6)
        found[row["alert_id"]] = (
            _circular(row, more) if more["circular"] else row | more | {"map_path": maps.get(row["alert_id"])}
        )
    return list(found.values())


def _circular(row: Mapping[str, Any], said: Mapping[str, Any]) -> Member:
    kept = {name: row[name] for name in ("alert_id", "stream", "received", "offset")}
    return kept | {
        **{name: said[name] for name in ("circular", "subject", "submitter", "names")},
        "posted": row["time"],
        "real": is_real({**row, **said, "circular": None}),
    }


def touched(conn: Connection, alert_ids: Collection[str], keys: Collection[str], members: Sequence[Member]) -> Before:
    """The events of these alerts and keys, true and test ones alike, since a name may have to be told apart."""
    notice, circular, alias = tables.event_notices.c, tables.event_circulars.c, tables.event_aliases.c
    bare = {key.removeprefix("~") for key in keys}
    both = sorted(bare | {f"~{key}" for key in bare})
    held = {row["key"]: row["event_name"] for row in _rows(conn, tables.event_aliases, alias.key, both)}
    names = set(held.values())
    for table, column in ((tables.event_notices, notice.alert_id), (tables.event_circulars, circular.alert_id)):
        names |= {row["event_name"] for row in _rows(conn, table, column, sorted(alert_ids))}
    ordered = sorted(names)
    notices, circulars = told_of(conn, ordered)
    missing = {name for member in members for name in joined(member) if not keys_of(member) <= held.keys()}
    sizes: dict[str, list[str]] = {}
    for row in notices:
        sizes.setdefault(row["event_name"], []).append(row["alert_id"])
    places = {row["alert_id"]: (row["event_name"], row["revision"]) for row in notices}
    strays = [row for row in _nameless(conn, missing) if row["alert_id"] not in places]
    return Before(ordered, [*notices, *circulars, *strays], places, held, sizes)


def told_of(conn: Connection, event_names: Sequence[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Notices and circulars of events, as `incoming` makes them."""
    found = _rows(conn, tables.event_notices, tables.event_notices.c.event_name, event_names)
    notices = [_NOTHING_STATED | row | {name: row[name] or [] for name in _LISTS} for row in found]
    for row in notices:
        if not (row["names"] or row["refers"] or row["cites"]):
            row["names"] = [row["event_name"]]  # kept before names were
    return notices, _rows(conn, tables.event_circulars, tables.event_circulars.c.event_name, event_names)


def _nameless(conn: Connection, ivorns: Collection[str]) -> list[Member]:
    """VOEvents that name no event, and so belonged to none before they were cited."""
    if not ivorns:
        return []
    alert = tables.alerts.c
    asked = sorted(f"{stream}:{ivorn}" for ivorn in ivorns for stream in _NOTICE_STREAMS)
    found = [row for row in _rows(conn, tables.alerts, alert.alert_id, asked) if row["event_name"] is None]
    wanted = {*_COLUMNS, "received", "offset"}
    return [
        {name: value for name, value in row.items() if name in wanted}
        | _NOTHING_STATED
        | {"ivorn": row["alert_id"].partition(":")[2], "map_path": None}
        | dict.fromkeys(_MEASURES)
        for row in found
    ]


def write(conn: Connection, before: Before, after: Iterable[Written], fresh: Collection[str]) -> None:
    """Bring the tables from `before` to `after`.

    Parameters
    ----------
    fresh
        Ids of the notices and circulars that are new or read anew.
    """
    events = list(after)
    notices = [notice for _, rows, _, _ in events for notice in rows]
    stands = {notice["alert_id"]: (notice["event_name"], notice["revision"]) for notice in notices}
    if any(stands.get(alert_id) != place for alert_id, place in before.places.items()):
        _delete(conn, tables.event_notices, tables.event_notices.c.event_name, before.names)
    else:
        notices = [notice for notice in notices if notice["alert_id"] in fresh or notice["alert_id"] not in before.places]
    upsert(conn, tables.events, _frame(tables.events, [row for row, _, _, _ in events]))
    upsert(conn, tables.event_notices, _frame(tables.event_notices, notices))
    upsert(conn, tables.event_circulars, _frame(tables.event_circulars, [one for _, _, rows, _ in events for one in rows]))
    _delete(conn, tables.event_aliases, tables.event_aliases.c.event_name, before.names)
    aliases = [
        {"key": key, "event_name": row["event_name"], "alias": alias, "shown": shown}
        for row, _, _, names in events
        for key, (alias, shown) in names.items()
    ]
    upsert(conn, tables.event_aliases, _frame(tables.event_aliases, aliases))
    _delete(
        conn, tables.events, tables.events.c.event_name, sorted(set(before.names) - {row["event_name"] for row, *_ in events})
    )
    conn.exec_driver_sql(
        "INSERT INTO counters (name, value) VALUES ('events', 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )


def _rows(conn: Connection, table: Table, column: Any, values: Sequence[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for first in range(0, len(values), _CHUNK):
        wanted = select(table).where(column.in_(values[first : first + _CHUNK]))
        found += [dict(row) for row in conn.execute(wanted).mappings()]
    return found


def _delete(conn: Connection, table: Table, column: Any, values: Sequence[str]) -> None:
    for first in range(0, len(values), _CHUNK):
        conn.execute(delete(table).where(column.in_(values[first : first + _CHUNK])))


def _frame(table: Table, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    types = {column.name: _polars_type(column.type.python_type) for column in table.columns}
    lists = [column.name for column in table.columns if isinstance(column.type, JSON)]
    plain = [
        {name: row.get(name) for name in types} | {name: json.dumps(row.get(name) or []) for name in lists} for row in rows
    ]
    return pl.DataFrame(plain, schema=types)


def _polars_type(python_type: type) -> type[pl.DataType]:
    return {int: pl.Int64, float: pl.Float64, bool: pl.Boolean}.get(python_type, pl.String)
