"""Which filter picked which alert, in the order it happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from broker.store import tables
from broker.store.alerts import shown
from broker.store.engine import Store, connection
from broker.store.times import from_micros, now

__all__ = ["Match", "counts", "last_seq", "latest", "since", "write"]

_LOCK = 0x4E554D41  # "NUMA"
_COLUMNS = "filter, version, alert_id, time"


@dataclass(frozen=True, slots=True)
class Match:
    """An alert and the filter that picked it."""

    filter: str
    version: str
    alert_id: str


def write(conn: Connection, matches: Sequence[Match]) -> None:
    """Keep matches, whose alerts are written already; one that is there stays as it is, under its old number.

    Numbers are given in the order of commits, so that a reader who has seen one has seen all before it: on PostgreSQL writers
    of matches therefore wait for each other, and this is best called last in the transaction.
    """
    if not matches:
        return
    at = now()
    rows = [(match.filter, match.version, match.alert_id.replace("\0", ""), at) for match in matches]
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        conn.exec_driver_sql(
            f"INSERT INTO matches ({_COLUMNS}) SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            columns,
        )
    else:
        conn.exec_driver_sql(f"INSERT INTO matches ({_COLUMNS}) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)  # noqa: S608


def latest(store: Store, *, filter_name: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Newest matches first, each with its alert.

    Returns
    -------
    list of dict
        ``seq, filter, version, time`` and ``alert`` as `broker.store.alerts.as_dict`.
    """
    return _read(store, filter_name, None, limit)


def since(store: Store, seq: int, *, filter_name: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """Matches numbered above `seq`, oldest first: what a live reader has not seen."""
    return _read(store, filter_name, seq, limit)


def last_seq(store: Store) -> int:
    """Number of the newest match; 0 where there is none."""
    with connection(store) as conn:
        return int(conn.execute(select(func.coalesce(func.max(tables.matches.c.seq), 0))).scalar_one())


def counts(store: Store) -> Mapping[str, int]:
    """Alerts picked, by filter name; an alert picked by two versions counts twice."""
    match = tables.matches.c
    with connection(store) as conn:
        rows = conn.execute(select(match.filter, func.count()).group_by(match.filter).order_by(match.filter))
        return {row[0]: row[1] for row in rows}


def _read(store: Store, filter_name: str | None, after: int | None, limit: int) -> list[dict[str, Any]]:
    match, alert = tables.matches.c, tables.alerts
    wanted = select(match.seq, match.filter, match.version, match.time.label("matched_at"), alert).join_from(
        tables.matches, alert, match.alert_id == alert.c.alert_id
    )
    if filter_name is not None:
        wanted = wanted.where(match.filter == filter_name)
    wanted = wanted.order_by(match.seq.desc()) if after is None else wanted.where(match.seq > after).order_by(match.seq)
    with connection(store) as conn:
        rows = conn.execute(wanted.limit(limit)).mappings().all()
        return [
            {
                "seq": row["seq"],
                "filter": row["filter"],
                "version": row["version"],
                "time": from_micros(row["matched_at"]),
                "alert": alert,
            }
            for row, alert in zip(rows, shown(conn, rows), strict=True)
        ]
