"""Deliveries as they are sent: taken for a time, so that another process takes over where one dies, and settled.

A delivery that is taken has its ``due`` put off to the end of that time: one index then tells what is due, whatever became of
who had it. Instants are microseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import Connection, Select, delete, exists, func, select, text, update

from broker.store import tables
from broker.store.delivery import CANCELLED, DELIVERED, FAILED, PENDING, Delivery, of_row
from broker.store.delivery_due import WAITS, Lease, due
from broker.store.engine import Store, transaction
from broker.store.subscription import REMOVED
from broker.store.times import now

__all__ = [
    "Lease",
    "Settled",
    "changed",
    "clock",
    "drop",
    "expire",
    "forget",
    "give_up",
    "hold",
    "next_due",
    "release",
    "renew",
    "settle",
    "starts",
]
__all__ += ["take", "take_digests"]

_AT_ONCE: Final = 500
_FORGET_AT_ONCE: Final = 2_000  # rows in one transaction, which others wait for
_SPACE: Final = UUID("0d0a1b8e-6a6e-5e5b-8a53-5f2a3c0a7d42")


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a try.

    Parameters
    ----------
    at, done
        When it began and ended.
    due
        When it is tried again; ``None`` where it is given up, or acknowledged.
    digest
        Id of the message that it went with, where it went with others.
    told
        Marks of the addresses that have it, where others do not.
    """

    id: str
    by: str
    ok: bool
    at: int
    done: int
    due: int | None
    status: int | None
    error: str
    digest: str | None = None
    told: str | None = None


def clock(conn: Connection) -> int:
    """The time that leases go by: the database's, where processes on several machines share it."""
    if conn.dialect.name != "postgresql":
        return now()
    return int(conn.execute(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")).scalar_one())


def changed(conn: Connection, idents: Collection[str]) -> dict[str, int]:
    """When subscriptions were last changed, by id."""
    one, found = tables.subscriptions.c, dict[str, int]()
    for some in _parts(idents):
        found |= {row.id: row.changed for row in conn.execute(select(one.id, one.changed).where(one.id.in_(some)))}
    return found


def hold(conn: Connection, subscription: str) -> None:
    """Have others wait who would take deliveries of a subscription, until the transaction ends."""
    conn.execute(select(tables.subscriptions.c.id).where(tables.subscriptions.c.id == subscription).with_for_update())


def starts(conn: Connection, subscription: str, since: int) -> list[int]:
    """When messages to a subscription began since an instant, whichever process sent them; tests do not count."""
    row = tables.deliveries.c
    message = func.coalesce(row.digest, row.id)
    asked = select(func.max(row.tried)).where(row.subscription == subscription, row.tried > since, row.change != "test")
    return sorted(conn.execute(asked.group_by(message)).scalars())


def take(conn: Connection, subscription: str, limit: int, lease: Lease, *, tests: bool = False) -> list[Delivery]:
    """Deliveries that are due, the longest waiting first; they are the taker's until the lease ends.

    Parameters
    ----------
    tests
        Only those that try a subscription out, which wait for nothing.
    """
    row = tables.deliveries.c
    asked = due(subscription, lease).limit(limit)
    return _leased(conn, asked.where(row.change == "test") if tests else asked, lease)


def take_digests(
    conn: Connection, subscription: str, messages: int, most: int, lease: Lease
) -> list[tuple[str, list[Delivery]]]:
    """What is due as messages, by their ids: those that went together before go together again, the rest anew.

    Parameters
    ----------
    messages
        How many at most; tests do not count.
    most
        Deliveries in one message.
    """
    row, mine = tables.deliveries.c, due(subscription, lease, together=True)
    found = [(one.id, [one]) for one in _leased(conn, mine.where(row.change == "test"), lease)]
    most_found = len(found) + messages
    before = select(row.digest).where(row.subscription == subscription, WAITS, row.due <= lease.now, row.digest.is_not(None))
    for ident in conn.execute(before.group_by(row.digest).order_by(func.min(row.due), row.digest)).scalars().all():
        if len(found) == most_found:
            break
        again = _leased(conn, mine.where(row.digest == ident), lease)
        found += [(ident, again)] if again else []
    while len(found) < most_found:
        fresh = _leased(conn, mine.where(row.digest.is_(None)).limit(most), lease)
        if not fresh:
            break
        ident = f"dlv_{uuid5(_SPACE, ' '.join(one.id for one in fresh)).hex[:24]}"
        for some in _parts([one.id for one in fresh]):
            conn.execute(update(tables.deliveries).where(row.id.in_(some)).values(digest=ident))
        found.append((ident, fresh))
    return found


def next_due(conn: Connection, subscription: str, after: int | None = None) -> int | None:
    """When the next delivery of a subscription is due, or its lease ends; ``None`` where none waits.

    Parameters
    ----------
    after
        Only what is due after an instant.
    """
    row = tables.deliveries.c
    asked = select(row.due).where(row.subscription == subscription, WAITS).order_by(row.due).limit(1)
    asked = asked if after is None else asked.where(row.due > after)
    found: int | None = conn.execute(asked).scalar()
    return found


def renew(conn: Connection, idents: Collection[str], lease: Lease) -> frozenset[str]:
    """Keep for longer what is in hand; what is no longer, since others took it over or it waits no more."""
    row, ours = tables.deliveries.c, set[str]()
    for some in _parts(idents):
        mine = (row.id.in_(some), row.state == PENDING, row.lease_by == lease.by)
        conn.execute(update(tables.deliveries).where(*mine).values(due=lease.until, lease_until=lease.until))
        # What was cancelled on its way is on it still, and what is to be told after it waits.
        gone = update(tables.deliveries).where(row.id.in_(some), row.state == CANCELLED, row.lease_by == lease.by)
        conn.execute(gone.values(lease_until=lease.until))
        ours.update(conn.execute(select(row.id).where(*mine)).scalars())
    return frozenset(idents) - ours


def release(conn: Connection, by: str, now: int, idents: Collection[str] | None = None) -> int:
    """Give back what a process holds, or some of it: it is due at once, before what came after it. How many there were."""
    row, released = tables.deliveries.c, 0
    values = {"due": func.coalesce(row.tried, now), "lease_by": None, "lease_until": None}
    for some in [None] if idents is None else _parts(idents):
        mine = (row.lease_by == by, *([] if some is None else [row.id.in_(some)]))
        released += int(conn.execute(update(tables.deliveries).where(WAITS, *mine).values(values)).rowcount)
        # What was cancelled meanwhile is in the way of what is to be told after it no more.
        gone = update(tables.deliveries).where(row.state == CANCELLED, *mine)
        conn.execute(gone.values(lease_by=None, lease_until=None))
    return released


def settle(conn: Connection, outcomes: Sequence[Settled]) -> None:
    """Keep what came of tries.

    What is acknowledged is delivered even where it was cancelled or given up meanwhile; what failed stays as it was made
    meanwhile, and is left to another process that has taken it over.
    """
    tried = "attempts = attempts + 1, begun = COALESCE(begun, :at), tried = :at, status = :status"
    free = "digest = COALESCE(:digest, digest), lease_by = NULL, lease_until = NULL"
    acknowledged = f"state = '{DELIVERED}', error = NULL, told = NULL, acknowledged = COALESCE(acknowledged, :done)"
    failed = "error = :error, told = COALESCE(:told, told)"
    ours = f"id = :id AND state = '{PENDING}' AND lease_by = :by"
    theirs = f"id = :id AND state = '{CANCELLED}' AND lease_by = :by"
    kinds = (
        (acknowledged, f"id = :id AND state IN ('{PENDING}', '{CANCELLED}', '{FAILED}')", [one for one in outcomes if one.ok]),
        (f"{failed}, due = :due", ours, [one for one in outcomes if not one.ok and one.due is not None]),
        (f"{failed}, state = '{FAILED}'", ours, [one for one in outcomes if not one.ok and one.due is None]),
        ("error = error", theirs, [one for one in outcomes if not one.ok]),
    )
    for became, where, some in kinds:
        if some:
            kept = text(f"UPDATE deliveries SET {became}, {tried}, {free} WHERE {where}")  # noqa: S608 - our own words
            conn.execute(kept, sorted(map(_values, some), key=lambda one: str(one["id"])))


def drop(conn: Connection, idents: Collection[str], why: str) -> None:
    """Cancel what waits, whoever has it in hand."""
    row = tables.deliveries.c
    for some in _parts(idents):
        mine = (row.id.in_(some), row.state == PENDING)
        values = {"state": CANCELLED, "error": why, "lease_by": None, "lease_until": None}
        conn.execute(update(tables.deliveries).where(*mine).values(values))


def give_up(conn: Connection, subscription: str, before: int, why: str) -> int:
    """Give up some of what was due before an instant and nobody has in hand, the longest waiting. How many there were."""
    row = tables.deliveries.c
    mine = (row.subscription == subscription, WAITS, row.due < before, row.created < before, row.lease_by.is_(None))
    some = select(row.id).where(*mine).order_by(row.due).limit(_FORGET_AT_ONCE)
    late = update(tables.deliveries).where(row.id.in_(some), row.state == PENDING, row.lease_by.is_(None))
    return int(conn.execute(late.values(state=FAILED, error=why)).rowcount)


def expire(store: Store, before: int, why: str) -> int:
    """Give up what was due before an instant and nobody has in hand, whatever it waits for. How many there were."""
    row, expired = tables.deliveries.c, 0
    mine = (row.state == PENDING, row.lease_by.is_(None), row.created < before, row.due < before)
    while True:
        old = select(row.id).where(*mine).order_by(row.created).limit(_FORGET_AT_ONCE)
        with transaction(store) as conn:
            late = update(tables.deliveries).where(row.id.in_(old), *mine).values(state=FAILED, error=why)
            gone = int(conn.execute(late).rowcount)
        expired += gone
        if not gone:
            return expired


def forget(store: Store, before: int) -> int:
    """Forget deliveries made before an instant, but for those that wait. How many there were.

    Subscriptions that were removed before it go with the last of theirs.
    """
    row, forgotten = tables.deliveries.c, 0
    while True:
        old = select(row.id).where(row.created < before, row.state != PENDING).order_by(row.created).limit(_FORGET_AT_ONCE)
        with transaction(store) as conn:
            gone = int(conn.execute(delete(tables.deliveries).where(row.id.in_(old))).rowcount)
        forgotten += gone
        if gone < _FORGET_AT_ONCE:
            break
    one = tables.subscriptions.c
    with transaction(store) as conn:
        left = ~exists().where(row.subscription == one.id)
        conn.execute(delete(tables.subscriptions).where(one.state == REMOVED, one.changed < before, left))
    return forgotten


def _leased(conn: Connection, asked: Select[Any], lease: Lease) -> list[Delivery]:
    row = tables.deliveries.c
    found = [of_row(one) for one in conn.execute(asked)]
    values = {"due": lease.until, "lease_by": lease.by, "lease_until": lease.until, "tried": lease.now}
    for some in _parts([one.id for one in found]):
        conn.execute(update(tables.deliveries).where(row.id.in_(some)).values(values))
    return found


def _values(one: Settled) -> dict[str, object]:
    names = ("id", "by", "at", "done", "due", "status", "digest", "told")
    return {name: getattr(one, name) for name in names} | {"error": one.error.replace("\0", "")}


def _parts(idents: Collection[str]) -> list[list[str]]:
    ordered = sorted(idents)
    return [ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE)]
