"""Subscriptions: filters joined to one channel, and how much of what they pick is to come, and when.

Each change counts a counter up, so that whoever holds them all knows by one look-up whether they are still those. Secrets are
kept as they are, since messages are signed with them; those of a removed subscription are not kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, delete, insert, select, update

from broker.errors import NotFoundError, UsageError
from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.lists import check_text
from broker.store.times import from_micros, now

__all__ = [
    "ACTIVE",
    "CHANNELS",
    "PAUSED",
    "REMOVED",
    "UPDATES",
    "Channel",
    "Quiet",
    "Subscription",
    "Updates",
    "add",
    "change",
    "get",
    "legible",
    "listing",
    "quiet_of",
    "remove",
    "version",
]

Channel = Literal["webhook", "message", "kafka"]
Updates = Literal["all", "retractions", "none"]
CHANNELS: Final[tuple[str, ...]] = get_args(Channel)
UPDATES: Final[tuple[str, ...]] = get_args(Updates)

ACTIVE: Final = "active"
PAUSED: Final = "paused"
REMOVED: Final = "removed"

COUNTER: Final = "subscriptions"
MOST_FILTERS: Final = 100
MOST_RATE: Final = 60_000
MOST_DIGEST: Final = 1_440

_CHANGED: Final = frozenset(
    {"filters", "target", "secret", "owner", "state", "rate", "quiet", "digest", "only_first", "updates", "note"}
)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of each day in which nothing is sent; over midnight where the end is before the start.

    Parameters
    ----------
    start, end
        On the clocks of the zone; the start is quiet, the end no more.
    zone
        Name in the IANA time zone database.
    """

    start: time
    end: time
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription.

    Parameters
    ----------
    id
        ``sub_`` and 12 hexadecimal digits.
    filters
        Names; what any of them picks is told.
    channel, target
        ``webhook``: ``url`` and ``format`` (``json`` or ``voevent``); ``message``: ``urls`` of apprise; ``kafka``: ``user``.
    secret
        That webhooks are signed with, ``whsec_`` and base64; empty for other channels.
    owner
        Account; ``None`` without accounts.
    state
        ``active``, ``paused`` (what comes waits) or ``removed``.
    rate
        Deliveries a minute at most; what is over waits. ``None``: no bound.
    quiet
        What comes then waits until its end.
    digest
        Minutes, after which all that came goes out together; ``None``: each at once.
    only_first
        Whether of an object (object_id, else event_name, else alert_id) only the first match is told.
    updates
        Which of the later words on a match go to who was told of it: ``all``, ``retractions`` or ``none``.
    """

    id: str
    filters: tuple[str, ...]
    channel: Channel
    target: Mapping[str, Any]
    secret: str
    owner: str | None
    state: str
    rate: int | None
    quiet: Quiet | None
    digest: int | None
    only_first: bool
    updates: Updates
    note: str
    created: datetime
    changed: datetime


def quiet_of(text: str, zone: str = "UTC") -> Quiet:
    """Quiet hours of ``22:00-07:00``.

    Raises
    ------
    UsageError
        They are none, or the zone is not known.
    """
    start, _, end = text.partition("-")
    try:
        found = Quiet(time.fromisoformat(start.strip()), time.fromisoformat(end.strip()), zone)
    except ValueError as error:
        raise UsageError(f"quiet hours {text[:40]!r}: write their start and end on the clock, as in 22:00-07:00") from error
    return _checked_quiet(found)


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
    values = _checked(
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
    at = now()
    with transaction(store) as conn:
        before = _there(conn, ident)
        values = _checked({"channel": before.channel, **changes})
        values.pop("channel")
        conn.execute(update(tables.subscriptions).where(tables.subscriptions.c.id == ident).values(values | {"changed": at}))
        waiting = tables.deliveries.c
        mine = (waiting.subscription == ident, waiting.state == "pending", waiting.lease_by.is_(None))
        if values.keys() & {"quiet", "digest"}:
            conn.execute(update(tables.deliveries).where(*mine, waiting.attempts == 0).values(due=at))
        if before.state == PAUSED and values.get("state") == ACTIVE:
            conn.execute(update(tables.deliveries).where(*mine).values(begun=None))
            conn.execute(update(tables.deliveries).where(*mine, waiting.due < at).values(due=at))
        bump(conn)
        return _read(conn, ident)


def remove(store: Store, ident: str) -> Subscription:
    """End a subscription, and cancel what waits for it; what is on its way ends as it ends.

    Raises
    ------
    NotFoundError
        There is none, or it was removed already.
    """
    table, waiting = tables.subscriptions, tables.deliveries.c
    with transaction(store) as conn:
        target = {name: value for name, value in _there(conn, ident).target.items() if name != "urls"}
        conn.execute(update(table).where(table.c.id == ident).values(state=REMOVED, secret="", target=target, changed=now()))
        pending = update(tables.deliveries).where(waiting.subscription == ident, waiting.state == "pending")
        conn.execute(pending.values(state="cancelled", error="the subscription was removed"))
        conn.execute(delete(tables.first_told).where(tables.first_told.c.subscription == ident))
        bump(conn)
        return _read(conn, ident)


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


def legible(ident: str) -> bool:
    """Whether a database takes it: no NUL, no half of a character."""
    return "\0" not in ident and not any("\ud800" <= char <= "\udfff" for char in ident)


def _read(conn: Connection, ident: str) -> Subscription:
    asked = select(tables.subscriptions).where(tables.subscriptions.c.id == ident)
    found = conn.execute(asked).first() if legible(ident) else None
    if found is None:
        raise NotFoundError(f"no subscription {ident[:80]!r}: `nuncius subscriptions list` has them all")
    return _subscription(found)


def _there(conn: Connection, ident: str) -> Subscription:
    found = _read(conn, ident)
    if found.state == REMOVED:
        raise NotFoundError(f"subscription {ident!r} was removed: make another with `nuncius subscribe`")
    return found


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table takes them."""
    found = dict(values)
    if "filters" in found:
        names = tuple(dict.fromkeys(found["filters"]))
        if not 1 <= len(names) <= MOST_FILTERS:
            raise UsageError(f"a subscription is to 1 to {MOST_FILTERS} filters: {len(names)} are named")
        found["filters"] = list(names)
    if found["channel"] not in CHANNELS:
        raise UsageError(f"channel {str(found['channel'])[:40]!r}: there are {', '.join(CHANNELS)}")
    if "target" in found:
        found["target"] = dict(found["target"])
    if found.get("updates", "all") not in UPDATES:
        raise UsageError(f"updates {str(found['updates'])[:40]!r}: there are {', '.join(UPDATES)}")
    for name, most, what in (("rate", MOST_RATE, "deliveries a minute"), ("digest", MOST_DIGEST, "minutes")):
        number = found.get(name)
        if number is not None and not 1 <= number <= most:
            raise UsageError(f"{name} {number}: take 1 to {most:,} {what}, or leave it out")
    quiet = found.get("quiet")
    if quiet is not None:
        quiet = _checked_quiet(quiet)
        found["quiet"] = {"start": quiet.start.isoformat(), "end": quiet.end.isoformat(), "zone": quiet.zone}
    if "note" in found:
        found["note"] = check_text("note", found["note"])
    return found


def _checked_quiet(quiet: Quiet) -> Quiet:
    try:
        ZoneInfo(quiet.zone)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"zone {quiet.zone[:60]!r} is not known: take a name such as Europe/Rome or UTC") from error
    if quiet.start == quiet.end:
        raise UsageError(f"quiet hours {quiet}: they end when they begin; pause the subscription if nothing is to come at all")
    if quiet.start.tzinfo is not None or quiet.end.tzinfo is not None:
        raise UsageError(f"quiet hours {quiet}: name the zone apart, as in Europe/Rome, and the hours without an offset")
    return quiet


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
    )
