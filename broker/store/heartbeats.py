"""When each upstream last gave a sign of life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select, update

from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.times import from_micros, to_micros

__all__ = ["Heartbeat", "beat", "expect", "listing"]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """An upstream's signs of life.

    Parameters
    ----------
    since
        We wait for them.
    seen, sent
        The last one: when we had it, and its own time. ``None`` before the first.
    """

    upstream: str
    since: datetime
    seen: datetime | None
    sent: datetime | None

    def age(self, now: datetime | None = None) -> float:
        """Seconds since the last one, or since we wait for the first."""
        last = self.since if self.seen is None else max(self.seen, self.since)
        return max(0.0, ((now or datetime.now(UTC)) - last).total_seconds())


def expect(store: Store, upstream: str, now: datetime) -> None:
    """From now on the upstream is to give signs of life."""
    row = tables.heartbeats
    with transaction(store) as conn:
        if conn.execute(update(row).where(row.c.upstream == upstream).values(since=to_micros(now))).rowcount == 0:
            conn.execute(insert(row).values(upstream=upstream, since=to_micros(now)))


def beat(store: Store, upstream: str, seen: datetime, sent: datetime | None) -> None:
    """The upstream gave one."""
    row = tables.heartbeats
    values = {"seen": to_micros(seen), "sent": None if sent is None else to_micros(sent)}
    with transaction(store) as conn:
        if conn.execute(update(row).where(row.c.upstream == upstream).values(**values)).rowcount == 0:
            conn.execute(insert(row).values(upstream=upstream, since=to_micros(seen), **values))


def listing(store: Store) -> list[Heartbeat]:
    """All upstreams that are to give signs of life, by name."""
    row = tables.heartbeats
    with connection(store) as conn:
        rows = conn.execute(select(row).order_by(row.c.upstream)).all()
    found = []
    for each in rows:
        since = from_micros(each.since)
        assert since is not None
        found.append(Heartbeat(each.upstream, since, from_micros(each.seen), from_micros(each.sent)))
    return found
