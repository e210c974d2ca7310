"""Which deliveries of a subscription may be sent now: what is due, and comes after nothing that has not arrived yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select, text

from broker.store import tables
from broker.store.delivery import CANCELLED, PENDING
from broker.store.subscription import REMOVED

__all__ = ["WAITS", "Lease", "due", "earliest", "ready"]

# Not a value beside the statement: only so do both databases know that their index of what waits will do.
WAITS: Final = text("deliveries.state = 'pending'")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who takes deliveries, and for how long."""

    by: str
    now: int
    until: int


def due(subscription: str, lease: Lease, *, together: bool = False) -> Select[Any]:
    """What may be taken, the longest waiting first; what others are taking is passed over.

    Parameters
    ----------
    together
        Whether what was not sent yet goes out in one message, in which the earlier word comes first.
    """
    row = tables.deliveries.c
    return (
        _open(subscription, lease, together=together).order_by(row.due, row.created, row.id).with_for_update(skip_locked=True)
    )


def ready(conn: Connection, subscription: str, lease: Lease, *, together: bool = False) -> bool:
    """Whether something may be taken, though others may be taking it."""
    return conn.execute(_open(subscription, lease, together=together).limit(1)).first() is not None


def earliest(conn: Connection) -> dict[str, int]:
    """When the first that waits is due, or its lease ends, by subscription: a look into the index for each, at once."""
    row, one = tables.deliveries.c, tables.subscriptions.c
    first = select(func.min(row.due)).where(row.subscription == one.id, WAITS).correlate(tables.subscriptions).scalar_subquery()
    asked = select(one.id, first.label("first")).where(one.state != REMOVED)
    return {ident: when for ident, when in conn.execute(asked) if when is not None}


def _open(subscription: str, lease: Lease, *, together: bool) -> Select[Any]:
    row = tables.deliveries.c
    # A match made again comes after the retraction before it.
    alone = (row.change == "test") | ((row.change == "match") & row.event.is_(None))
    if together:  # what went in one message before goes whole, or not at all
        alone |= row.digest.is_not(None)
    first = alone | ~_behind(lease, together=together)
    return select(tables.deliveries).where(row.subscription == subscription, WAITS, row.due <= lease.now, first)


def _behind(lease: Lease, *, together: bool) -> ColumnElement[bool]:
    """Whether an earlier word on the same match is on its way, or is to be tried again: a later one would overtake it.

    What some addresses of several have, and others refuse, is in the way only while it is in hand: what one that is dead has
    missed does not keep the rest of a retraction.
    """
    row, other = tables.deliveries.c, tables.deliveries.alias("earlier").c
    before = (other.created < row.created) | ((other.created == row.created) & (other.id < row.id))
    in_hand = other.lease_until > lease.now
    open_yet = ((other.state == PENDING) & (other.told.is_(None) | in_hand)) | ((other.state == CANCELLED) & in_hand)
    if together:
        open_yet &= other.digest.is_not(None)
    same = (other.alert_id == row.alert_id) & (other.subscription == row.subscription) & (other.filter == row.filter)
    return exists().where(same, before, open_yet)
