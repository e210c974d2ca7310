"""Deliveries: what each subscription is to be told, and what became of it.

`broker.store.delivery_intake` makes them, `broker.store.delivery_work` is what their senders ask for.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, text, update

from broker.errors import ConflictError, NotFoundError, UsageError
from broker.store import tables
from broker.store.cursor import read_cursor, write_cursor
from broker.store.delivery import DELIVERED, PENDING, SKIPPED, STATES, Delivery, of_row
from broker.store.engine import Store, connection, transaction
from broker.store.subscription import REMOVED, legible
from broker.store.times import now, to_micros

__all__ = [
    "Latency",
    "Page",
    "Signs",
    "add_test",
    "bump",
    "counts",
    "fold",
    "get",
    "latency",
    "listing",
    "of_alert",
    "replay",
    "signs",
    "trouble",
]

_AT_ONCE: Final = 500  # values in one statement
LATEST: Final = 10_000  # deliveries that latencies are told of
COUNTER: Final = "deliveries"
_PAST: Final = f"{COUNTER}/~"  # no process is called so


@dataclass(frozen=True, slots=True)
class Page:
    """Deliveries, the newest first, and the cursor of those that follow; ``None`` at the end."""

    items: list[Delivery]
    next: str | None


@dataclass(frozen=True, slots=True)
class Signs:
    """Numbers that grow when subscriptions change, something is put there by hand (a test, a replay), or comes in."""

    subscriptions: int
    by_hand: int
    others: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from the receipt of an alert to its acknowledgement, over the last 10,000 deliveries; ``None`` of none."""

    count: int
    p50: float | None
    p99: float | None


def get(store: Store, ident: str) -> Delivery:
    """A delivery; `NotFoundError` where there is none, or it was forgotten."""
    with connection(store) as conn:
        return _read(conn, ident)


def listing(
    store: Store,
    *,
    state: str | None = None,
    subscription: str | None = None,
    owner: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> Page:
    """A page of deliveries, the newest first.

    Parameters
    ----------
    state, subscription
        Only those in a state, and of a subscription.
    owner
        Only those of an account's subscriptions.
    after
        Cursor of the page before.

    Raises
    ------
    UsageError
        There is no such state, or the cursor is not ours.
    """
    if state is not None and state not in STATES:
        raise UsageError(f"state {state[:40]!r}: there are {', '.join(STATES)}")
    row, mine = tables.deliveries.c, tables.subscriptions.c
    asked = select(row.created, row.id).order_by(row.created.desc(), row.id.desc()).limit(limit + 1)
    if after is not None:
        created, ident = read_cursor(after, COUNTER)
        asked = asked.where((row.created < created) | ((row.created == created) & (row.id < ident)))
    states = [state] if state is not None else STATES
    if subscription is not None and not legible(subscription):
        return Page([], None)
    with connection(store) as conn:
        of: Sequence[str] | None = None if subscription is None else [subscription]
        if owner is not None:
            theirs = conn.execute(select(mine.id).where(mine.owner == owner)).scalars().all()
            of = [one for one in theirs if subscription in {None, one}]
        if of is None:
            found = conn.execute(asked if state is None else asked.where(row.state == state)).all()
        else:  # a look into the index for each, rather than a sort of all there are
            asks = [asked.where(row.subscription == one, row.state == each) for one in of for each in states]
            rows = [each for one in asks for each in conn.execute(one)]
            found = sorted(rows, key=lambda each: (each.created, each.id), reverse=True)[: limit + 1]
        # Bodies are read of those only that are told.
        items = _of_ids(conn, [each.id for each in found[:limit]])
    more = found[limit - 1] if len(found) > limit else None
    return Page(items, None if more is None else write_cursor(COUNTER, more.created, more.id))


def _of_ids(conn: Connection, idents: Sequence[str]) -> list[Delivery]:
    row, there = tables.deliveries.c, dict[str, Delivery]()
    for start in range(0, len(idents), _AT_ONCE):
        asked = select(tables.deliveries).where(row.id.in_(idents[start : start + _AT_ONCE]))
        there |= {each.id: of_row(each) for each in conn.execute(asked)}
    return [there[ident] for ident in idents if ident in there]  # one may be forgotten meanwhile


def of_alert(store: Store, alert_id: str) -> list[Delivery]:
    """Deliveries of an alert, the oldest first."""
    row = tables.deliveries.c
    with connection(store) as conn:
        asked = select(tables.deliveries).where(row.alert_id == alert_id).order_by(row.created, row.id)
        return [of_row(each) for each in conn.execute(asked)]


def counts(store: Store, subscription: str | None = None) -> dict[str, dict[str, int]]:
    """How many deliveries there are, by subscription and state."""
    row = tables.deliveries.c
    asked = select(row.subscription, row.state, func.count()).group_by(row.subscription, row.state)
    if subscription is not None:
        asked = asked.where(row.subscription == subscription)
    found: dict[str, dict[str, int]] = {}
    with connection(store) as conn:
        for ident, state, number in conn.execute(asked):
            found.setdefault(ident, {})[state] = number
    return found


def latency(store: Store, subscription: str) -> Latency:
    """How long a subscription waited for its last deliveries, from the receipt of the alert on; tests of it do not count."""
    row = tables.deliveries.c
    asked = select(row.received, row.acknowledged).where(row.subscription == subscription, row.acknowledged.is_not(None))
    with connection(store) as conn:
        rows = conn.execute(asked.where(row.change != "test").order_by(row.acknowledged.desc()).limit(LATEST)).all()
    if not rows:
        return Latency(0, None, None)
    waited = np.array([(acknowledged - received) / 1e6 for received, acknowledged in rows])
    p50, p99 = np.percentile(waited, [50, 99])
    return Latency(len(rows), float(p50), float(p99))


def trouble(store: Store, subscription: str) -> str | None:
    """What came of the last try, where that was an error."""
    row = tables.deliveries.c
    asked = select(row.state, row.error).where(
        row.subscription == subscription, row.tried.is_not(None), row.error.is_not(None) | (row.state == DELIVERED)
    )
    with connection(store) as conn:
        last = conn.execute(asked.order_by(row.tried.desc(), row.id).limit(1)).first()
    return None if last is None or last.state == DELIVERED else str(last.error)


def replay(store: Store, ident: str) -> Delivery:
    """Have a delivery sent again, under the same id: one that failed, was cancelled, or was delivered and got lost there.

    Raises
    ------
    NotFoundError
        There is none.
    ConflictError
        It waits to be sent as it is, was never to be told, or its subscription was removed.
    """
    row, at = tables.deliveries.c, now()
    with transaction(store) as conn:
        found = _read(conn, ident)
        if found.state == PENDING:
            when = f"is tried next at {found.due:%Y-%m-%dT%H:%M:%SZ}"
            if to_micros(found.due) <= at:
                when = "goes as soon as its receiver answers what is sent to try it, and as rate and quiet hours allow"
            raise ConflictError(f"delivery {ident} is waiting already: it {when}")
        if found.state == SKIPPED:
            raise ConflictError(f"delivery {ident} was skipped: its subscription wants only the first match of {found.object}")
        one = tables.subscriptions.c
        if conn.execute(select(one.state).where(one.id == found.subscription)).scalar() in {None, REMOVED}:
            raise ConflictError(f"delivery {ident} is of a subscription that was removed: there is nobody to send it to")
        fresh = {"state": PENDING, "due": at, "attempts": 0, "begun": None, "status": None, "error": None, "digest": None}
        conn.execute(update(tables.deliveries).where(row.id == ident).values(fresh | {"lease_by": None, "lease_until": None}))
        bump(conn)
        return _read(conn, ident)


def add_test(store: Store, subscription: str, *, by: str | None = None, seconds: float = 0.0, alone: bool = False) -> Delivery:
    """A delivery that is no alert's, to see whether a subscription gets what is sent to it; nothing makes it wait.

    Parameters
    ----------
    by
        Who sends it and has it in hand from the start, for so many seconds; whoever sends what is due, if nobody.
    alone
        Refuse where another waits.

    Raises
    ------
    ConflictError
        There is no such subscription any more, another waits, or somebody is sending it a test just now.
    """
    row = tables.deliveries.c
    one, at, ident = tables.subscriptions.c, now(), f"dlv_{uuid.uuid4().hex[:24]}"
    body = f'{{"delivery_id":"{ident}","subscription_id":"{subscription}","message":"a test of your subscription"}}'
    with transaction(store) as conn:
        if conn.execute(select(one.state).where(one.id == subscription).with_for_update()).scalar() in {None, REMOVED}:
            raise ConflictError(f"no subscription {subscription!r} to test: `nuncius subscriptions list` has them all")
        # One whose sender died is in no other sender's way.
        waits = [row.subscription == subscription, row.state == PENDING, row.change == "test"]
        waits += [] if alone else [row.due > at]
        if (alone or by is not None) and conn.execute(select(row.id).where(*waits).limit(1)).first() is not None:
            raise ConflictError(f"a test of subscription {subscription} is under way: wait for what comes of it")
        values = {"id": ident, "subscription": subscription, "filter": "", "version": "", "alert_id": "", "object": ""}
        values |= {"change": "test", "body": body, "state": PENDING}
        due = at + round(seconds * 1e6)
        lease = {} if by is None else {"lease_by": by, "lease_until": due, "tried": at}
        conn.execute(
            insert(tables.deliveries).values({**values, **lease, "received": at, "created": at, "due": due, "attempts": 0})
        )
        bump(conn)
        return _read(conn, ident)


def signs(store: Store, by: str = "") -> Signs:
    """Numbers that grow when there is something to see: one look-up.

    Parameters
    ----------
    by
        Whose own deliveries do not count.
    """
    counter = tables.counters.c
    asked = select(counter.name, counter.value).where(
        (counter.name == "subscriptions") | counter.name.startswith(COUNTER, autoescape=True)
    )
    with connection(store) as conn:
        values = {name: int(value) for name, value in conn.execute(asked)}
    others = sum(value for name, value in values.items() if name.startswith(f"{COUNTER}/") and name != f"{COUNTER}/{by}")
    return Signs(values.get("subscriptions", 0), values.get(COUNTER, 0), others)


def bump(conn: Connection, by: str = "") -> None:
    """Tell every process that sends, once the transaction is committed, that there is something to send.

    Parameters
    ----------
    by
        Name of a process that takes matches in; by hand, where there is none.
    """
    conn.execute(
        text(
            "INSERT INTO counters (name, value) VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
        ),
        {"name": f"{COUNTER}/{by}" if by else COUNTER},
    )


def fold(conn: Connection) -> None:
    """Take the numbers of all processes that take matches in together: most of their names, perhaps, are of the past.

    Who is alive counts on from zero; what others see of it in all only grows.
    """
    counter = tables.counters
    gone = delete(counter).where(counter.c.name.startswith(f"{COUNTER}/", autoescape=True), counter.c.name != _PAST)
    numbers = conn.execute(gone.returning(counter.c.value)).scalars().all()
    if numbers:
        more = "INSERT INTO counters (name, value) VALUES (:name, :more) "
        more += "ON CONFLICT (name) DO UPDATE SET value = counters.value + :more"
        conn.execute(text(more), {"name": _PAST, "more": sum(numbers)})


def _read(conn: Connection, ident: str) -> Delivery:
    legible = "\0" not in ident and not any("\ud800" <= char <= "\udfff" for char in ident)
    found = conn.execute(select(tables.deliveries).where(tables.deliveries.c.id == ident)).first() if legible else None
    if found is None:
        raise NotFoundError(
            f"no delivery {ident[:80]!r}: `nuncius deliveries list` has them, `keep_days` of [deliver] how long"
        )
    return of_row(found)
