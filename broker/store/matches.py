"""Which filter picked which alert, in the order it happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from broker.store import tables
from broker.store.alerts import shown
from broker.store.engine import Store, connection
from broker.store.times import from_micros, now

__all__ = ["Match", "common", "counts", "forget", "last_seq", "latest", "since", "write"]

_LOCK = 0x4E554D41  # "NUMA"
_AT_ONCE = 500
_COLUMNS = "filter, version, alert_id, time, selected"


@dataclass(frozen=True, slots=True)
class Match:
    """An alert, the filter that picked it, and what that sends along: a JSON object."""

    filter: str
    version: str
    alert_id: str
    selected: str | None = None


def write(conn: Connection, matches: Sequence[Match]) -> None:
    """Keep matches, whose alerts are written already; one that is there stays as it is, under its old number.

    Numbers are given in the order of commits, so that a reader who has seen one has seen all before it: on PostgreSQL writers
    of matches therefore wait for each other, and this is best called last in the transaction.
    """
    if not matches:
        return
    at = now()
    rows = [(match.filter, match.version, match.alert_id.replace("\0", ""), at, match.selected) for match in matches]
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        given = "unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])"
        conn.exec_driver_sql(f"INSERT INTO matches ({_COLUMNS}) SELECT * FROM {given} ON CONFLICT DO NOTHING", columns)  # noqa: S608
    else:
        conn.exec_driver_sql(f"INSERT INTO matches ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)  # noqa: S608


def forget(conn: Connection, alert_ids: Sequence[str], in_force: Mapping[str, str]) -> None:
    """Take back what other versions picked of a batch's alerts: it is done again, and what they picked was never told.

    Parameters
    ----------
    in_force
        Version by filter name.
    """
    match = tables.matches.c
    stale: list[int] = []
    for start in range(0, len(alert_ids), _AT_ONCE):
        some = [one.replace("\0", "") for one in alert_ids[start : start + _AT_ONCE]]
        rows = conn.execute(select(match.seq, match.filter, match.version).where(match.alert_id.in_(some)))
        stale += [seq for seq, name, version in rows if in_force.get(name) != version]
    for start in range(0, len(stale), _AT_ONCE):  # PostgreSQL takes 65,535 values at once
        conn.execute(tables.matches.delete().where(match.seq.in_(stale[start : start + _AT_ONCE])))


def latest(
    store: Store, *, filter_name: str | None = None, limit: int = 100, without: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Newest matches first, each with its alert.

    Parameters
    ----------
    without
        Names of filters whose matches are left out.

    Returns
    -------
    list of dict
        ``seq, filter, version, time`` and ``alert`` as `broker.store.alerts.as_dict`, its annotations being those the filter
        sends along.
    """
    return _read(store, filter_name, None, limit, without)


def since(
    store: Store, seq: int, *, filter_name: str | None = None, limit: int = 1000, without: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Matches numbered above `seq`, oldest first: what a live reader has not seen."""
    return _read(store, filter_name, seq, limit, without)


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


def common(store: Store, alert_ids: Sequence[str]) -> Mapping[str, int]:
    """How many of some alerts each filter has picked, in whatever version."""
    match = tables.matches.c
    found: Counter[str] = Counter()
    with connection(store) as conn:
        for first in range(0, len(alert_ids), _AT_ONCE):
            some = match.alert_id.in_(alert_ids[first : first + _AT_ONCE])
            rows = conn.execute(select(match.filter, func.count(match.alert_id.distinct())).where(some).group_by(match.filter))
            found.update({row[0]: row[1] for row in rows})
    return found


def _read(
    store: Store, filter_name: str | None, after: int | None, limit: int, without: Collection[str]
) -> list[dict[str, Any]]:
    match, alert = tables.matches.c, tables.alerts
    wanted = select(match.seq, match.filter, match.version, match.time.label("matched_at"), match.selected, alert).join_from(
        tables.matches, alert, match.alert_id == alert.c.alert_id
    )
    if filter_name is not None:
        wanted = wanted.where(match.filter == filter_name)
    if without:
        wanted = wanted.where(match.filter.not_in(without))
    wanted = wanted.order_by(match.seq.desc()) if after is None else wanted.where(match.seq > after).order_by(match.seq)
    with connection(store) as conn:
        rows = conn.execute(wanted.limit(limit)).mappings().all()
        return [
            {
                "seq": row["seq"],
                "filter": row["filter"],
                "version": row["version"],
                "time": from_micros(row["matched_at"]),
                "alert": _sent(alert, row["selected"]),
            }
            for row, alert in zip(rows, shown(conn, rows), strict=True)
        ]


def _sent(alert: dict[str, Any], selected: str | None) -> dict[str, Any]:
    """The alert with what its filter sends along; what sky maps say is that of now."""
    if selected is None:  # picked before this was kept
        return alert
    sent = {name: value for name, value in json.loads(selected).items() if value is not None}
    now = {name: value for name, value in alert["annotations"].items() if name in sent}
    return alert | {"annotations": sent | now}
