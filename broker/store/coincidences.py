"""Coincidences of two events, a row a revision.

A coincidence has an id of its own, which stays when an event is renamed. A revision says what was told; the last one counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, and_, func, insert, or_, select, tuple_, update

from broker.errors import NotFoundError, UsageError
from broker.store import tables
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.revisions import RENAMED
from broker.store.times import from_micros, now, to_micros

__all__ = [
    "DISJOINT",
    "LIVE",
    "RETRACTED",
    "CoincidencePage",
    "Pair",
    "get_coincidence",
    "keep",
    "known",
    "list_coincidences",
    "of_event",
]

LIVE, DISJOINT, RETRACTED = "live", "disjoint", "retracted"

Pair = tuple[str, str, str]
"""Names of the event, of the external event, and of what within the latter it is (its own name but for follow-ups)."""

_LOCK = 0x4E55434F  # "NUCO"
_CHUNK = 500
_SAME: Final = 1e-9  # relative: numbers that differ by less are of another machine, not of another map
_INSTANTS = ("event_time", "external_time", "computed")
_TOLD = (
    *("state", "message", "real", "publishable", "event_kind", "external_kind", "event_time", "external_time", "event_far"),
    *("external_far", "classification", "dt", "window", "window_from", "window_to", "far_temporal", "far_space_time"),
    *("overlap", "area50", "area90", "distmean", "diststd"),
)
"""What makes a new revision when it changes."""


@dataclass(frozen=True, slots=True)
class CoincidencePage:
    """Some coincidences, and the cursor of the next page, if there is one."""

    coincidences: list[dict[str, Any]]
    cursor: str | None


def known(store: Store, names: Collection[str]) -> dict[Pair, dict[str, Any]]:
    """Latest revision of each coincidence of these events."""
    with connection(store) as conn:
        return _by_pair(_latest(conn, names))


def keep(
    conn: Connection, found: Mapping[Pair, Mapping[str, Any]], names: Collection[str], causes: Collection[str], cause: str
) -> list[dict[str, Any]]:
    """Bring the coincidences of events up to date: what is new or changed gets a revision, what is no more is retracted.

    Parameters
    ----------
    conn
        In a transaction.
    found
        All there is now of the events, as columns of ``coincidences``.
    names
        Of the events.
    causes
        Alert ids of the batch.
    cause
        The one of them that revisions are put down to.

    Returns
    -------
    list of dict
        Revisions due to the batch, by id and revision: those made now, and those that it made when it was done before.
    """
    if conn.dialect.name == "postgresql":  # one writer at a time gives numbers
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    rows = _latest(conn, names)
    before = _by_pair(rows)
    at, fresh = now(), []
    for pair, row in sorted(found.items()):
        last = before.get(pair)
        if last is None or not _same(last, row):
            place = {"id": last["id"], "revision": last["revision"] + 1} if last else {"id": _id(conn, pair), "revision": 1}
            fresh.append({**row, **place})
    for last in rows:
        pair = _pair(last)
        now_known_as = before[pair]["id"]
        if last["state"] != RETRACTED and (pair not in found or last["id"] != now_known_as):
            why = _why_gone(conn, pair) if pair not in found else f"two events have become one: told as {now_known_as}"
            gone = {"state": RETRACTED, "publishable": False, "message": why, "revision": last["revision"] + 1}
            fresh.append(last | gone)
    names_of = {column.name for column in tables.coincidences.columns}
    for row in fresh:
        made = {name: row.get(name) for name in names_of} | {"cause": cause, "computed": at}
        conn.execute(insert(tables.coincidences).values(made))
    asked, column = sorted(causes), tables.coincidences.c.cause
    told: list[dict[str, Any]] = []
    for first in range(0, len(asked), _CHUNK):
        wanted = select(tables.coincidences).where(column.in_(asked[first : first + _CHUNK]))
        told += [_shown(each) for each in conn.execute(wanted).mappings()]
    return sorted(told, key=lambda each: (each["id"], each["revision"]))


def get_coincidence(store: Store, coincidence: str) -> dict[str, Any]:
    """A coincidence as it is now, with its ``revisions``, the first one first.

    Raises
    ------
    NotFoundError
        There is none by that id.
    """
    row = tables.coincidences.c
    with connection(store) as conn:
        wanted = select(tables.coincidences).where(row.id == coincidence).order_by(row.revision)
        rows = [_shown(each) for each in conn.execute(wanted).mappings()]
    if not rows:
        raise NotFoundError(f"no coincidence {coincidence!r}: see the list of coincidences")
    return rows[-1] | {"revisions": rows}


def of_event(store: Store, event_name: str) -> list[dict[str, Any]]:
    """Coincidences of the event that goes by that name now, the least likely by chance first, retracted ones last."""
    with connection(store) as conn:
        rows = [_shown(row) for row in _latest(conn, [event_name])]

    def rank(row: dict[str, Any]) -> tuple[Any, ...]:
        far = row["far_space_time"] if row["far_space_time"] is not None else row["far_temporal"]
        return row["state"] != LIVE, row["state"] == RETRACTED, math.inf if far is None else far, row["id"]

    return sorted(rows, key=rank)


def list_coincidences(
    store: Store,
    *,
    limit: int = 100,
    cursor: str | None = None,
    event: str | None = None,
    state: str | None = None,
    real_only: bool = False,
    start: datetime | None = None,
    end: datetime | None = None,
) -> CoincidencePage:
    """Coincidences as they are now, that of the latest event first.

    Parameters
    ----------
    event
        Only those of the event that goes by that name now.
    state
        Only those in this state.
    start, end
        Half-open window of the event's time.

    Raises
    ------
    UsageError
        The limit or the cursor is not good.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError(f"limit {limit} is out of range: 1 to 10000")
    row = tables.coincidences.c
    wanted = _newest().order_by(row.event_time.desc(), row.id.desc()).limit(limit + 1)
    if cursor is not None:
        value, key = read_cursor(cursor, "coincidence")
        wanted = wanted.where(tuple_(row.event_time, row.id) < tuple_(int(value), key))
    if event is not None:
        wanted = wanted.where(or_(row.event == event, row.external == event))
    if state is not None:
        wanted = wanted.where(row.state == state)
    if real_only:
        wanted = wanted.where(row.real.is_(True))
    if start is not None:
        wanted = wanted.where(row.event_time >= to_micros(start))
    if end is not None:
        wanted = wanted.where(row.event_time < to_micros(end))
    with connection(store) as conn:
        rows = conn.execute(wanted).mappings().all()
    shown = rows[:limit]
    more = len(rows) > limit
    return CoincidencePage(
        [_shown(each) for each in shown],
        write_cursor("coincidence", shown[-1]["event_time"], shown[-1]["id"]) if more else None,
    )


def _newest() -> Any:
    """Latest revision of each coincidence."""
    row, other = tables.coincidences.c, tables.coincidences.alias("other").c
    last = select(func.max(other.revision)).where(other.id == row.id).scalar_subquery()
    return select(tables.coincidences).where(row.revision == last)


def _latest(conn: Connection, names: Collection[str]) -> list[dict[str, Any]]:
    row = tables.coincidences.c
    found: dict[str, dict[str, Any]] = {}
    ordered = sorted(names)
    for first in range(0, len(ordered), _CHUNK):
        some = ordered[first : first + _CHUNK]
        wanted = _newest().where(or_(row.event.in_(some), row.external.in_(some)))
        found |= {each["id"]: dict(each) for each in conn.execute(wanted).mappings()}
    return [found[name] for name in sorted(found)]


def _pair(row: Mapping[str, Any]) -> Pair:
    return row["event"], row["external"], row["external_name"]


def _by_pair(rows: Sequence[dict[str, Any]]) -> dict[Pair, dict[str, Any]]:
    """The coincidence of each pair; of several, where two events have become one, the first that is not retracted."""
    found: dict[Pair, dict[str, Any]] = {}
    for row in rows:
        if _pair(row) not in found or found[_pair(row)]["state"] == RETRACTED:
            found[_pair(row)] = row
    return found


def _same(last: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if (last["map_path"] is None) != (row.get("map_path") is None):
        return False
    for name in _TOLD:
        one, other = last[name], row.get(name)
        if isinstance(one, float) and isinstance(other, int | float):
            if not math.isclose(one, other, rel_tol=_SAME, abs_tol=0.0):
                return False
        elif one != other:
            return False
    return True


def _id(conn: Connection, pair: Pair) -> str:
    """Readable, and the same whoever finds it first: ``S240422ed+GRB_240422A``; with a number where events of before had it."""
    name = found = f"{pair[0]}+{pair[2]}".replace(" ", "_")
    number, column = 1, tables.coincidences.c.id
    while conn.execute(select(column).where(column == found).limit(1)).first() is not None:
        number += 1
        found = f"{name}~{number}"
    return found


def _why_gone(conn: Connection, pair: Pair) -> str:
    event = tables.events.c
    wanted = select(event.event_name).where(event.event_name.in_(pair[:2]), event.state == "retracted")
    retracted = conn.execute(wanted.order_by(event.event_name)).scalars().all()
    if retracted:
        return f"{' and '.join(retracted)} retracted"
    return "what is known of the two events now makes them no coincidence"


def _shown(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    return dict(row) | {name: from_micros(row[name]) for name in _INSTANTS}


def _renamed(conn: Connection, old: str, new: str) -> None:
    """Follow an event that was merged into another or renamed."""
    row = tables.coincidences.c
    conn.execute(
        update(tables.coincidences).where(and_(row.external == old, row.external_name == old)).values(external_name=new)
    )
    conn.execute(update(tables.coincidences).where(row.external == old).values(external=new))
    conn.execute(update(tables.coincidences).where(row.event == old).values(event=new))


RENAMED.append(_renamed)
