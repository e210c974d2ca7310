"""The table of alerts: written a batch at a time, read one at a time. `broker.store.search` reads pages of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from sqlalchemy import Connection, RowMapping, Select, select

from broker.alert import COMMON
from broker.errors import NotFoundError
from broker.record import Record
from broker.store import association_pages, tables
from broker.store.archive import Address
from broker.store.bulk import clean, upsert
from broker.store.engine import Store, connection
from broker.store.provenance import provenance
from broker.store.times import from_micros, now

__all__ = ["as_dict", "get", "object_alerts", "possible", "select_alerts", "shown", "write"]

_SHOWN = tuple(COMMON)


def write(conn: Connection, frame: pl.DataFrame, records: Sequence[Record], addresses: Sequence[Address] = ()) -> None:
    """Insert or replace a batch's alerts.

    Parameters
    ----------
    conn
        In a transaction.
    frame
        Common columns, ``_record`` and ``_unit``; ``skymaps`` is kept as it is, and every other scalar column that is not
        private as an annotation under its own name. ``processed`` (microseconds, UTC) is added.
    records, addresses
        Of the batch: see `broker.store.provenance.provenance`.
    """
    if frame.is_empty():
        return
    if frame["alert_id"].n_unique() != frame.height:
        frame = frame.unique("alert_id", keep="last", maintain_order=True)
    source = provenance(frame, records, addresses)
    digest = frame["_digest"] if "_digest" in frame.columns else pl.Series("_digest", [None] * frame.height, dtype=pl.Binary)
    common = frame.select(pl.col(name).cast(dtype) for name, dtype in COMMON.items()).with_columns(
        pl.col("time").dt.epoch("us")
    )
    rows = common.hstack(source).with_columns(
        pl.coalesce("time", "received").alias("sort_time"),
        _annotations(frame).alias("annotations"),
        _skymaps(frame).alias("skymaps"),
        digest.alias("digest"),
        pl.lit(now(), dtype=pl.Int64).alias("processed"),
    )
    upsert(conn, tables.alerts, clean(rows))


def possible(alert_id: str) -> None:
    """`NotFoundError` for what no id can be and a database does not take: a zero byte, or half of a character."""
    if "\0" in alert_id or any("\ud800" <= char <= "\udfff" for char in alert_id):
        raise NotFoundError(f"no alert {alert_id!r}: no id has such characters")


def get(store: Store, alert_id: str) -> dict[str, Any]:
    """Everything the database knows of an alert.

    Returns
    -------
    dict
        As `as_dict`, and ``matches``: filter, version, seq and time of each.

    Raises
    ------
    NotFoundError
        No such alert.
    """
    possible(alert_id)
    match = tables.matches.c
    with connection(store) as conn:
        row = conn.execute(select_alerts().where(tables.alerts.c.alert_id == alert_id)).mappings().first()
        picked = conn.execute(
            select(match.seq, match.filter, match.version, match.time).where(match.alert_id == alert_id).order_by(match.seq)
        ).all()
        found = shown(conn, [row] if row is not None else [])
    if row is None:
        raise NotFoundError(f"no alert {alert_id!r}: ids look like ztf:1234, see `nuncius query`")
    matches = [{"filter": m.filter, "version": m.version, "seq": m.seq, "time": from_micros(m.time)} for m in picked]
    return found[0] | {"matches": matches}


def object_alerts(store: Store, object_id: str, *, stream: str | None = None) -> list[dict[str, Any]]:
    """All alerts of an object, oldest first; none where it is not known."""
    table = tables.alerts.c
    query = select_alerts().where(table.object_id == object_id).order_by(table.sort_time, table.alert_id)
    if stream is not None:
        query = query.where(table.stream == stream)
    with connection(store) as conn:
        return shown(conn, conn.execute(query).mappings().all())


def select_alerts() -> Select[Any]:
    """The query whose rows `as_dict` reads."""
    return select(tables.alerts)


def shown(conn: Connection, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Rows as `as_dict`, with the sky maps they lie in now."""
    found = [as_dict(row) for row in rows]
    association_pages.refresh(conn, found)
    return found


def as_dict(row: RowMapping | Mapping[str, Any]) -> dict[str, Any]:
    """A row as the rest of Nuncius sees it.

    Returns
    -------
    dict
        The common columns; ``received`` and ``processed``; ``annotations`` by name, without nulls; ``skymaps`` (a list);
        ``origin`` with topic, partition, offset and unit; ``archive`` with file, offset and length, or ``None``.
    """
    shown: dict[str, Any] = {name: row[name] for name in _SHOWN}
    archive = {"file": row["archive_file"], "offset": row["archive_offset"], "length": row["archive_length"]}
    annotations = row["annotations"] or {}
    return shown | {
        "time": from_micros(row["time"]),
        "received": from_micros(row["received"]),
        "processed": from_micros(row["processed"]),
        "annotations": {name: value for name, value in annotations.items() if value is not None},
        "skymaps": row["skymaps"] or [],
        "origin": {name: row[name] for name in ("topic", "partition", "offset", "unit")},
        "archive": archive if archive["file"] is not None else None,
    }


def _annotations(frame: pl.DataFrame) -> pl.Series:
    """The scalars that are neither common nor private, one JSON object a row; columns without a single value are left out."""
    names = [
        name
        for name, dtype in frame.schema.items()
        if name not in COMMON
        and not name.startswith(("_", "history."))
        and not dtype.is_nested()
        and dtype not in {pl.Binary, pl.Null}
        and frame[name].null_count() < frame.height
    ]
    if not names:
        return pl.Series("annotations", [None] * frame.height, dtype=pl.String)
    return clean(frame.select(names)).select(pl.struct(names).struct.json_encode()).to_series()


def _skymaps(frame: pl.DataFrame) -> pl.Series:
    """The list of sky maps as JSON; null where it is empty."""
    if "skymaps" not in frame.columns:
        return pl.Series("skymaps", [None] * frame.height, dtype=pl.String)
    lists = pl.col("skymaps")
    text = pl.struct(lists.alias("of")).struct.json_encode().str.slice(len('{"of":')).str.head(-1)
    return frame.select(pl.when(lists.list.len() > 0).then(text)).to_series()
