"""Subscriptions: filters joined to one channel, and how much of what they pick is to come, and when.

Each change counts a counter up, so that whoever holds them all knows by one look-up whether they are still those. Secrets are
kept as they are, since messages are signed with them; those of a removed subscription are not kept, nor is its address, which
may have a token in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from broker.errors import NotFoundError, UsageError
from broker.store import tables
from broker.store.delivery_work import hold
from broker.store.engine import Store, connection, transaction
from broker.store.subscription import ACTIVE, PAUSED, REMOVED, Channel, Quiet, Subscription, Updates, checked, legible
from broker.store.times import from_micros, now

__all__ = ["add", "change", "get", "leave_out", "listing", "remove", "version"]

COUNTER: Final = "subscriptions"
_AT_ONCE: Final = 2_000  # deliveries in one transaction, which others wait for
_CHANGED: Final = frozenset(
    {"filters", "target", "secret", "owner", "state", "rate", "quiet", "digest", "only_first", "updates", "note"}
)


def add(
    store: Store,
    *,
    filters: Sequence[str],
    channel: Channel,
    target: Mapping[str, Any],
    secret: str = "",
    owner: str | None = None,
    rate: int | None = None,
    quiet: Quiet | None = None,
    digest: int | None = None,
    only_first: bool = False,
    updates: Updates = "all",
    note: str = "",
) -> Subscription:
    """A new subscription, active from now on: it is told of what is published after this.

    Whether the filters are there and the target may be sent to, `broker.wiring.subscribing` looks at.

    Raises
    ------
    UsageError
        Something cannot be so.
    """
    at = now()
    values = checked(
        {
            "filters": filters,
            "channel": channel,
            "target": target,
            "secret": secret,
            "owner": owner,
            "rate": rate,
            "quiet": quiet,
            "digest": digest,
            "only_first": only_first,
            "updates": updates,
            "note": note,
        }
    )
    row = values | {"id": f"sub_{secrets.token_hex(6)}", "state": ACTIVE, "created": at, "changed": at}
    with transaction(store) as conn:
        conn.execute(insert(tables.subscriptions).values(row))
        bump(conn)
        return _read(conn, row["id"])


def get(store: Store, ident: str) -> Subscription:
    """A subscription; a removed one, too.

    Raises
    ------
    NotFoundError
        There is none.
    """
    with connection(store) as conn:
        return _read(conn, ident)


def listing(store: Store, owner: str | None = None, *, removed: bool = False) -> list[Subscription]:
    """Subscriptions, the oldest first.

    Parameters
    ----------
    owner
        Only this account's.
    removed
        Whether those that were removed are among them.
    """
    table = tables.subscriptions.c
    asked = select(tables.subscriptions).order_by(table.created, table.id)
    if owner is not None:
        asked = asked.where(table.owner == owner)
    if not removed:
        asked = asked.where(table.state != REMOVED)
    with connection(store) as conn:
        return [_subscription(row) for row in conn.execute(asked)]


def change(store: Store, ident: str, **changes: Any) -> Subscription:
    """Change some of a subscription: ``filters, target, secret, owner, state`` (``active`` or ``paused``) and the rest.

    What waits goes by the new hours, digest and rate; the time that it was paused does not count against it.

    Raises
    ------
    NotFoundError
        There is none, or it was removed.
    UsageError
        Something cannot be so.
    """
    odd = sorted(changes.keys() - _CHANGED)
    if odd:
        raise UsageError(f"{', '.join(odd)} of a subscription cannot be changed: make another and remove this one")
    if changes.get("state", ACTIVE) not in {ACTIVE, PAUSED}:
        raise UsageError(f"state {str(changes['state'])[:40]!r}: there are {ACTIVE} and {PAUSED}; remove ends a subscription")
    at, waiting = now(), tables.deliveries.c
    mine = (waiting.subscription == ident, waiting.state == "pending", waiting.lease_by.is_(None))
    with connection(store) as conn:
        before = _there(conn, ident)
    values = checked({"channel": before.channel, **changes})
    values.pop("channel")
    if before.state == PAUSED and values.get("state") == ACTIVE:  # while nothing is sent yet
        _each(store, ident, (*mine, waiting.begun.is_not(None)), begun=None)
        _each(store, ident, (*mine, waiting.due < at), due=at)
    with transaction(store) as conn:
        _there(conn, ident)
        conn.execute(update(tables.subscriptions).where(tables.subscriptions.c.id == ident).values(values | {"changed": at}))
        bump(conn)
        after = _read(conn, ident)
    if values.keys() & {"quiet", "digest"}:
        _each(store, ident, (*mine, waiting.attempts == 0, waiting.due > at), due=at)
    return after


def remove(store: Store, ident: str) -> Subscription:
    """End a subscription, and cancel what waits for it; what is on its way ends as it ends.

    Of one that was removed already, what a removal that broke off has left waiting is cancelled all the same.

    Raises
    ------
    NotFoundError
        There is none, or it was removed already.
    """
    table, waiting = tables.subscriptions, tables.deliveries.c
    with transaction(store) as conn:
        before = _read(conn, ident)
        if before.state != REMOVED:
            target = {name: value for name, value in before.target.items() if name not in {"url", "urls"}}
            ended = {"state": REMOVED, "secret": "", "target": target, "changed": now()}
            conn.execute(update(table).where(table.c.id == ident).values(ended))
            conn.execute(delete(tables.first_told).where(tables.first_told.c.subscription == ident))
            bump(conn)
        removed = _read(conn, ident)
    mine = (waiting.subscription == ident, waiting.state == "pending")
    _each(store, ident, mine, state="cancelled", error="the subscription was removed")
    _refuse_removed(before)
    return removed


def leave_out(store: Store, numbers: Mapping[str, int]) -> None:
    """Note how many deliveries of subscriptions were left out just now, since as many as may wait do.

    It is no change of theirs, and counts no counter up.
    """
    one, at = tables.subscriptions.c, now()
    with transaction(store) as conn:
        for ident, number in sorted(numbers.items()):
            values = {"left_out": one.left_out + number, "left_out_at": at}
            conn.execute(update(tables.subscriptions).where(one.id == ident).values(values))


def version(store: Store) -> int:
    """A number that grows whenever a subscription changes: one look-up."""
    counter = tables.counters.c
    with connection(store) as conn:
        return int(conn.execute(select(counter.value).where(counter.name == COUNTER)).scalar() or 0)


def bump(conn: Connection) -> None:
    """Count a change."""
    conn.exec_driver_sql(
        f"INSERT INTO counters (name, value) VALUES ('{COUNTER}', 1) "  # noqa: S608 - our own name
        "ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )


def _each(store: Store, ident: str, which: Sequence[ColumnElement[bool]], **values: Any) -> None:
    """Have deliveries of a subscription be otherwise, so that they are among those asked for no more: some at a time.

    There may be a hundred thousand, and others wait for the database meanwhile, or would take some of them.
    """
    row = tables.deliveries.c
    some = select(row.id).where(*which).order_by(row.id).limit(_AT_ONCE).with_for_update()
    while True:
        with transaction(store) as conn:
            hold(conn, ident)
            idents = conn.execute(some).scalars().all()
            if idents:
                conn.execute(update(tables.deliveries).where(row.id.in_(idents)).values(values))
                bump(conn)
        if len(idents) < _AT_ONCE:
            return


def _read(conn: Connection, ident: str) -> Subscription:
    asked = select(tables.subscriptions).where(tables.subscriptions.c.id == ident)
    found = conn.execute(asked).first() if legible(ident) else None
    if found is None:
        raise NotFoundError(f"no subscription {ident[:80]!r}: `nuncius subscriptions list` has them all")
    return _subscription(found)


def _there(conn: Connection, ident: str) -> Subscription:
    found = _read(conn, ident)
    _refuse_removed(found)
    return found


def _refuse_removed(found: Subscription) -> None:
    if found.state == REMOVED:
        raise NotFoundError(f"subscription {found.id!r} was removed: make another with `nuncius subscribe`")


def _subscription(row: Row[Any]) -> Subscription:
    said, created, changed = row.quiet, from_micros(row.created), from_micros(row.changed)
    assert created is not None
    assert changed is not None
    quiet = said and Quiet(time.fromisoformat(said["start"]), time.fromisoformat(said["end"]), said["zone"])
    return Subscription(
        row.id,
        tuple(row.filters),
        row.channel,
        row.target,
        row.secret,
        row.owner,
        row.state,
        row.rate,
        quiet or None,
        row.digest,
        row.only_first,
        row.updates,
        row.note,
        created,
        changed,
        row.left_out,
        from_micros(row.left_out_at),
    )
