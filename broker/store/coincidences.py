"""Pairs of events of different messengers that came close in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, or_, select, update
from sqlalchemy.engine import RowMapping

from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.revisions import RENAMED
from broker.store.times import from_micros, to_micros

__all__ = ["LIVE", "RETRACTED", "identifier", "keep", "near", "of_event", "recent"]

LIVE, RETRACTED = "live", "retracted"

_row = tables.coincidences.c


def identifier(first_event: str, second_event: str) -> str:
    """Name of a pair, in text."""
    return f"{first_event}+{second_event}"


def near(store: Store, time: datetime, before: float, after: float, *, real: bool) -> list[dict[str, Any]]:
    """Events of a span of time, as they are known now.

    Parameters
    ----------
    before, after
        Seconds before and after `time`.
    real
        Real events, or else the others: the two never meet.
    """
    event = tables.events.c
    middle = to_micros(time)
    span = event.time.between(middle - round(before * 1e6), middle + round(after * 1e6))
    with connection(store) as conn:
        rows = conn.execute(select(tables.events).where(span, event.real.is_(real)).order_by(event.event_name))
        return [_instants(row) for row in rows.mappings()]


def keep(store: Store, found: Sequence[Mapping[str, Any]]) -> None:
    """Write pairs; one that is there is written over.

    Parameters
    ----------
    found
        Rows as the table has them, times as `datetime`.
    """
    if not found:
        return
    with transaction(store) as conn:
        for pair in found:
            same = and_(_row.first_event == pair["first_event"], _row.second_event == pair["second_event"])
            conn.execute(delete(tables.coincidences).where(same))
            values = {name: to_micros(value) if isinstance(value, datetime) else value for name, value in pair.items()}
            conn.execute(tables.coincidences.insert().values(**values))


def of_event(store: Store, event_name: str) -> list[dict[str, Any]]:
    """Pairs an event is one of, by the other's name."""
    wanted = select(tables.coincidences).where(or_(_row.first_event == event_name, _row.second_event == event_name))
    with connection(store) as conn:
        return [_shown(row) for row in conn.execute(wanted.order_by(_row.first_event, _row.second_event)).mappings()]


def recent(
    store: Store, *, start: datetime | None = None, end: datetime | None = None, real_only: bool = True, limit: int = 100
) -> list[dict[str, Any]]:
    """Pairs by time, the latest first.

    Parameters
    ----------
    start, end
        Half-open window of the first event's time.
    """
    wanted = select(tables.coincidences).order_by(_row.time.desc(), _row.first_event, _row.second_event).limit(limit)
    if start is not None:
        wanted = wanted.where(_row.time >= to_micros(start))
    if end is not None:
        wanted = wanted.where(_row.time < to_micros(end))
    if real_only:
        wanted = wanted.where(_row.real.is_(True))
    with connection(store) as conn:
        return [_shown(row) for row in conn.execute(wanted).mappings()]


def _renamed(conn: Connection, old: str, new: str) -> None:
    """Follow an event that is merged or renamed; a pair of what is one event now is none."""
    conn.execute(delete(tables.coincidences).where(_row.first_event.in_([old, new]), _row.second_event.in_([old, new])))
    for mine, other in ((_row.first_event, _row.second_event), (_row.second_event, _row.first_event)):
        taken = select(other).where(mine == new)
        conn.execute(delete(tables.coincidences).where(mine == old, other.in_(taken.scalar_subquery())))
        conn.execute(update(tables.coincidences).where(mine == old).values({mine: new}))


RENAMED.append(_renamed)


def _shown(row: RowMapping) -> dict[str, Any]:
    return {"id": identifier(row["first_event"], row["second_event"])} | _instants(row)


def _instants(row: RowMapping) -> dict[str, Any]:
    return dict(row) | {name: from_micros(row[name]) for name in ("time", "updated", "created") if name in row}
