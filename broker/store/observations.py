"""Observations of events that people and telescopes report: where they looked, or will look, how deep, and what they measured.

A sender's own id makes sending again harmless, and lets what was planned become completed or cancelled. Observations follow
an event that is merged into another.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, RowMapping, delete, insert, select, tuple_, update

from broker.errors import ConflictError, NotFoundError, UsageError
from broker.store import tables
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection, transaction
from broker.store.subscription import legible
from broker.store.times import from_micros, now, to_micros

__all__ = [
    "CANCELLED",
    "COMPLETED",
    "DEPTH_UNITS",
    "PLANNED",
    "ObservationPage",
    "Sent",
    "Status",
    "get",
    "of_events",
    "page",
    "post",
    "remove",
    "renamed",
]

Status = Literal["planned", "completed", "cancelled"]
PLANNED, COMPLETED, CANCELLED = "planned", "completed", "cancelled"
DEPTH_UNITS: Final = ("ab_mag", "vega_mag", "flux_erg", "flux_jy")
"""As Treasure Map has them: magnitudes, erg/cm²/s, Jy."""

_LOCK: Final = 0x4E554F42  # "NUOB"
_CHUNK: Final = 500
_SAID: Final = (
    *("reporter", "telescope", "instrument", "status", "time", "ra", "dec", "footprint", "band", "band_min", "band_max"),
    *("band_unit", "depth", "depth_unit", "exposure", "photometry", "reference", "note"),
)
_NEXT: Final = {
    PLANNED: frozenset({PLANNED, COMPLETED, CANCELLED}),
    COMPLETED: frozenset({COMPLETED, CANCELLED}),  # corrected, or withdrawn
    CANCELLED: frozenset({CANCELLED}),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of observations that were sent.

    Parameters
    ----------
    observations
        As they are kept now, in the order they were sent.
    new, changed, unchanged
        How many are new, are changed, and were there as they are.
    """

    observations: list[dict[str, Any]]
    new: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class ObservationPage:
    """Some observations, and the cursor of the next page, if there is one."""

    observations: list[dict[str, Any]]
    cursor: str | None


def post(store: Store, event_name: str, observations: Sequence[Mapping[str, Any]], *, who: str) -> Sent:
    """Keep observations of an event, all or none.

    Parameters
    ----------
    event_name
        The name it goes by now, `broker.store.events.canonical_name`.
    observations
        Columns of the table by name; ``time`` is an instant, ``sender_id`` the sender's id, perhaps ``None``.
    who
        Account that sends them: ids are each account's own.

    Raises
    ------
    ConflictError
        One of them cannot become what it is said to be: what is cancelled stays so, what is completed is planned no more.
    UsageError
        Two of them have one id.
    """
    ids = [one["sender_id"] for one in observations if one.get("sender_id") is not None]
    if len(set(ids)) < len(ids):
        twice = next(one for number, one in enumerate(ids) if one in ids[:number])
        raise UsageError(f"two observations have the id {twice!r}: give each its own, or leave it out")
    at, kept, counts = now(), [], {"new": 0, "changed": 0, "unchanged": 0}
    with transaction(store) as conn:
        if conn.dialect.name == "postgresql":  # an id sent by two at once is one observation
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        there = _by_sender_id(conn, event_name, who, ids)
        for one in observations:
            said = {name: one.get(name) for name in _SAID} | {"time": to_micros(one["time"])}
            ident = one.get("sender_id")
            before = None if ident is None else there.get(ident)
            became, row = _kept(conn, event_name, said, before, who=who, sender_id=ident, at=at)
            counts[became] += 1
            kept.append(_shown(row))
    return Sent(kept, **counts)


def page(
    store: Store,
    event_name: str,
    *,
    status: str | None = None,
    band: str | None = None,
    telescope: str | None = None,
    reporter: str | None = None,
    limit: int = 1000,
    cursor: str | None = None,
) -> ObservationPage:
    """Observations of an event, the first one first.

    Parameters
    ----------
    event_name
        The name it goes by now.
    status, band, telescope, reporter
        Only those of which this is said.

    Raises
    ------
    UsageError
        The limit or the cursor is not good.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError(f"limit {limit} is out of range: 1 to 10000")
    row = tables.observations.c
    wanted = select(tables.observations).where(row.event_name == event_name).order_by(row.time, row.id).limit(limit + 1)
    for column, wished in ((row.status, status), (row.band, band), (row.telescope, telescope), (row.reporter, reporter)):
        if wished is not None:
            wanted = wanted.where(column == wished)
    if cursor is not None:
        value, key = read_cursor(cursor, "observation")
        wanted = wanted.where(tuple_(row.time, row.id) > tuple_(int(value), key))
    with connection(store) as conn:
        rows = conn.execute(wanted).mappings().all()
    more, rows = len(rows) > limit, rows[:limit]
    after = write_cursor("observation", rows[-1]["time"], rows[-1]["id"]) if more else None
    return ObservationPage([_shown(each) for each in rows], after)


def get(store: Store, ident: str) -> dict[str, Any]:
    """An observation.

    Raises
    ------
    NotFoundError
        There is none of this id.
    """
    with connection(store) as conn:
        asked = select(tables.observations).where(tables.observations.c.id == ident)
        row = conn.execute(asked).mappings().first() if legible(ident) else None
    if row is None:
        raise NotFoundError(f"no observation {ident[:80]!r}: ids look like obs_0a1b2c3d4e5f0a1b2c3d4e5f")
    return _shown(row)


def remove(store: Store, ident: str) -> None:
    """Take out an observation that should never have been sent: nothing of it is kept.

    Raises
    ------
    NotFoundError
        There is none of this id.
    """
    get(store, ident)
    with transaction(store) as conn:
        conn.execute(delete(tables.observations).where(tables.observations.c.id == ident))


def of_events(store: Store, names: Collection[str], statuses: Collection[str] = (PLANNED, COMPLETED)) -> list[dict[str, Any]]:
    """All observations of some events that are in one of some states, by event and time."""
    row = tables.observations.c
    found: list[dict[str, Any]] = []
    ordered = sorted(names)
    with connection(store) as conn:
        for first in range(0, len(ordered), _CHUNK):
            some = row.event_name.in_(ordered[first : first + _CHUNK])
            wanted = select(tables.observations).where(some, row.status.in_(list(statuses)))
            rows = conn.execute(wanted.order_by(row.event_name, row.time, row.id)).mappings()
            found += [_shown(each) for each in rows]
    return found


def renamed(conn: Connection, old: str, new: str) -> None:
    """Observations of an event that has become part of another, or goes by another name."""
    row = tables.observations
    conn.execute(update(row).where(row.c.event_name == old).values(event_name=new))


def _by_sender_id(conn: Connection, event_name: str, who: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    row = tables.observations.c
    found: dict[str, dict[str, Any]] = {}
    for first in range(0, len(ids), _CHUNK):
        some = row.sender_id.in_(ids[first : first + _CHUNK])
        wanted = select(tables.observations).where(row.event_name == event_name, row.who == who, some)
        # Two of one id come of two events that have become one: the one that changed last speaks for both.
        for each in conn.execute(wanted.order_by(row.changed)).mappings():
            found[each["sender_id"]] = dict(each)
    return found


def _kept(
    conn: Connection,
    event_name: str,
    said: dict[str, Any],
    before: dict[str, Any] | None,
    *,
    who: str,
    sender_id: str | None,
    at: int,
) -> tuple[str, Mapping[str, Any]]:
    """What became of one (``new``, ``changed``, ``unchanged``), and its row."""
    if before is None:
        ident = f"obs_{secrets.token_hex(12)}"
        row = {"id": ident, "event_name": event_name, "who": who, "sender_id": sender_id, **said, "created": at, "changed": at}
        conn.execute(insert(tables.observations).values(row))
        return "new", row
    if said["status"] not in _NEXT[before["status"]]:
        message = f"observation {sender_id!r} is {before['status']} and cannot become {said['status']}: send it under a new id"
        raise ConflictError(message)
    if all(before[name] == value for name, value in said.items()):
        return "unchanged", before
    conn.execute(update(tables.observations).where(tables.observations.c.id == before["id"]).values(**said, changed=at))
    return "changed", {**before, **said, "changed": at}


def _shown(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    times: dict[str, datetime | None] = {name: from_micros(row[name]) for name in ("time", "created", "changed")}
    return dict(row) | times
