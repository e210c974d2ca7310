"""What the senders ask of the database: outcomes kept and more taken in one transaction, in a thread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from broker.deliver.pace import room
from broker.settings import DeliverTable
from broker.store import delivery_work as work
from broker.store.delivery_due import Lease, earliest, ready
from broker.store.delivery_work import Settled
from broker.store.engine import connection, transaction
from broker.store.times import from_micros, now, to_micros
from broker.wiring.deliver_book import Rights
from broker.wiring.deliver_lane import Parcel, Want
from broker.wiring.parts import Parts

__all__ = ["Asked", "Found", "GiveUp", "looks", "turn"]

MOST_IN_DIGEST: Final = 500
_RIGHTS_SECONDS: Final = 60.0  # until it is looked again whether an owner may see anything
_MINUTE: Final = 60_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class GiveUp:
    """What a subscription that does not answer was to have before an instant."""

    subscription: str
    before: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What one turn is to do.

    Parameters
    ----------
    renew, release
        Ids to be held on to, and to be given back.
    """

    outcomes: Sequence[Settled] = ()
    wants: Sequence[Want] = ()
    renew: Sequence[str] = ()
    release: Sequence[str] = ()
    give_up: Sequence[GiveUp] = ()


@dataclass(slots=True)
class Found:
    """What was taken, by subscription, and when to look again; ``None`` where nothing is known to wait.

    Parameters
    ----------
    stale
        Whether a subscription is no longer as it was asked for: nothing of it is taken.
    lost
        Ids that were to be held on to, and are no longer ours.
    behind
        Subscriptions of which something due waits for what is on its way.
    """

    parcels: dict[str, list[Parcel]] = field(default_factory=dict)
    look: dict[str, datetime | None] = field(default_factory=dict)
    given_up: int = 0
    stale: bool = False
    lost: frozenset[str] = frozenset()
    behind: set[str] = field(default_factory=set)


def turn(parts: Parts, rights: Rights, by: str, asked: Asked) -> Found:
    """Do all of it, or nothing.

    Raises
    ------
    StoreUnavailableError
        The database is away.
    """
    table: DeliverTable = parts.settings.deliver
    found = Found()
    hidden = {one.subscription.id: rights.hidden_from(one.subscription.owner) for one in asked.wants}
    wants = sorted(asked.wants, key=lambda each: each.subscription.id)  # in one order: nobody waits in a circle
    with transaction(parts.store) as conn:
        for want in wants:
            if want.subscription.rate is not None or want.subscription.digest is not None:
                # First, as where one is changed: others who send to it count theirs after ours, and what belongs together is
                # taken by one.
                work.hold(conn, want.subscription.id)
        at = work.clock(conn)
        ahead = timedelta(microseconds=at - now())  # of our own clock, which says when to look again
        lease = Lease(by, at, at + round(table.lease_seconds * 1e6))
        work.settle(conn, asked.outcomes)
        found.lost = work.renew(conn, asked.renew, lease)
        if asked.release:
            work.release(conn, by, at, asked.release)
        for one in asked.give_up:
            found.given_up += work.give_up(conn, one.subscription, to_micros(one.before), one.why)
        changed = work.changed(conn, list(hidden))
        for want in wants:
            if changed.get(want.subscription.id) != to_micros(want.subscription.changed):  # paused, or gone elsewhere
                found.look[want.subscription.id], found.stale = _instant(at), True
                continue
            unseen = hidden[want.subscription.id]
            if unseen is None:
                found.look[want.subscription.id] = _instant(at) + timedelta(seconds=_RIGHTS_SECONDS)
                continue
            parcels, look, behind = _take(conn, want, lease)
            gone = [each.id for parcel in parcels for each in parcel.deliveries if each.filter in unseen.filters]
            if gone:
                work.drop(conn, gone, "the owner of the subscription may no longer see the filter")
                parcels = _without(parcels, frozenset(gone))
            found.parcels[want.subscription.id], found.look[want.subscription.id] = parcels, look
            if behind:
                found.behind.add(want.subscription.id)
    found.look = {ident: None if look is None else look - ahead for ident, look in found.look.items()}
    return found


def looks(parts: Parts) -> dict[str, datetime]:
    """When to look for what waits of each subscription, by our own clock; those of which nothing waits are not among them.

    Raises
    ------
    StoreUnavailableError
        The database is away.
    """
    with connection(parts.store) as conn:
        ahead = timedelta(microseconds=work.clock(conn) - now())
        return {ident: _instant(when) - ahead for ident, when in earliest(conn).items()}


def _take(conn: Connection, want: Want, lease: Lease) -> tuple[list[Parcel], datetime | None, bool]:
    """What is taken, when to look again, and whether something that is due waits for what is on its way."""
    one, most, when = want.subscription, want.most, _instant(lease.now)
    if want.tests:
        return [Parcel(each.id, (each,)) for each in work.take(conn, one.id, most, lease, tests=True)], when, False
    if one.rate is not None:
        begun = [_instant(each) for each in work.starts(conn, one.id, lease.now - _MINUTE)]
        free, later = room(when, begun, one.rate)
        if later is not None:
            return [], later, False
        most = min(most, free or 0)
    if one.digest is not None:
        parcels = [Parcel(ident, some) for ident, some in work.take_digests(conn, one.id, most, MOST_IN_DIGEST, lease)]
    else:
        parcels = [Parcel(each.id, (each,)) for each in work.take(conn, one.id, most, lease)]
    if len(parcels) >= most:
        return parcels, when, False  # there may be more
    due = work.next_due(conn, one.id)
    if due is None or due > lease.now:
        return parcels, None if due is None else _instant(due), False
    if ready(conn, one.id, lease, together=one.digest is not None):
        return parcels, when, False  # others have it in their hands just now
    # Whoever has what is on its way looks again when that has arrived; where they die, this is when it is theirs no more.
    later_due = work.next_due(conn, one.id, after=lease.now)
    return parcels, _instant(lease.until if later_due is None else min(later_due, lease.until)), True


def _without(parcels: Sequence[Parcel], gone: frozenset[str]) -> list[Parcel]:
    left = [Parcel(one.id, [each for each in one.deliveries if each.id not in gone]) for one in parcels]
    return [one for one in left if one.deliveries]


def _instant(micros: int) -> datetime:
    found = from_micros(micros)
    return found if found is not None else datetime.now(UTC)
