"""Deliveries as they are made: what subscriptions are to be told of some matches, written at once, and again without harm."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, select, text, tuple_, update

from broker.store import tables
from broker.store.deliveries import bump
from broker.store.delivery import CANCELLED, DELIVERED, FAILED, PENDING, SKIPPED, Change, State, delivery_id

__all__ = ["Made", "Told", "cancel", "firsts", "matched_at", "received", "told", "waiting", "write"]

_AT_ONCE: Final = 500  # values in one statement


@dataclass(frozen=True, slots=True)
class Made:
    """A delivery to be; instants are microseconds since 1970, UTC. NUL, which PostgreSQL refuses, is left out of texts."""

    subscription: str
    filter: str
    version: str
    alert_id: str
    object: str
    change: Change
    event: str | None
    revision: int | None
    body: str
    received: int
    created: int
    due: int
    state: State = PENDING

    def __post_init__(self) -> None:
        for name in ("filter", "version", "alert_id", "object", "event", "body"):
            value = getattr(self, name)
            if value is not None and "\0" in value:
                object.__setattr__(self, name, value.replace("\0", ""))

    @property
    def id(self) -> str:
        """The same whenever it is made again."""
        return delivery_id(self.subscription, self.filter, self.alert_id, self.change, self.event, self.revision)


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a word on a match: `untouched` where nobody can have heard of it."""

    id: str
    subscription: str
    object: str
    change: Change
    state: State
    untouched: bool

    @property
    def heard(self) -> bool:
        """Whether somebody has it, or may have it: one address of several, or a server that said so too late."""
        return self.state == DELIVERED or (self.state in {PENDING, FAILED} and not self.untouched)


def write(conn: Connection, rows: Sequence[Made], by: str = "") -> None:
    """Keep deliveries, made by a process of some name or by hand; one that is there stays as it is."""
    if not rows:
        return
    names = ("id", *Made.__dataclass_fields__, "attempts")
    places = ", ".join(f":{name}" for name in names)
    made = text(f"INSERT INTO deliveries ({', '.join(names)}) VALUES ({places}) ON CONFLICT DO NOTHING")  # noqa: S608
    values = [asdict(row) | {"id": row.id, "attempts": 0} for row in rows]
    conn.execute(made, sorted(values, key=lambda row: str(row["id"])))  # in one order: two writers wait in no circle
    bump(conn, by)


def waiting(conn: Connection, subscription: str, most: int) -> int:
    """How many deliveries of a subscription wait, counted up to a number."""
    row = tables.deliveries.c
    some = select(row.id).where(row.subscription == subscription, text("deliveries.state = 'pending'")).limit(most)
    return int(conn.execute(select(func.count()).select_from(some.subquery())).scalar_one())


def received(conn: Connection, alert_ids: Collection[str]) -> dict[str, int]:
    """When alerts were received, microseconds, UTC, by id; without those that the database does not have."""
    alert, found, ids = tables.alerts.c, dict[str, int](), sorted(set(alert_ids))
    for start in range(0, len(ids), _AT_ONCE):
        asked = select(alert.alert_id, alert.received).where(alert.alert_id.in_(ids[start : start + _AT_ONCE]))
        found |= {row.alert_id: row.received for row in conn.execute(asked)}
    return found


def matched_at(conn: Connection, alert_ids: Collection[str]) -> dict[tuple[str, str], int]:
    """When filters first picked alerts, microseconds, UTC, by filter and alert id."""
    match, found, ids = tables.matches.c, dict[tuple[str, str], int](), sorted(set(alert_ids))
    for start in range(0, len(ids), _AT_ONCE):
        asked = select(match.filter, match.alert_id, func.min(match.time)).where(
            match.alert_id.in_(ids[start : start + _AT_ONCE])
        )
        rows = conn.execute(asked.group_by(match.filter, match.alert_id))
        found |= {(name, alert_id): when for name, alert_id, when in rows}
    return found


def told(conn: Connection, alert_ids: Collection[str]) -> dict[tuple[str, str, str], list[Told]]:
    """Matches and updates told, by subscription, filter and alert id: they stay as they are until the transaction ends."""
    row, ids = tables.deliveries.c, sorted(set(alert_ids))
    found: dict[tuple[str, str, str], list[Told]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = row.alert_id.in_(ids[start : start + _AT_ONCE])
        asked = select(row.id, row.subscription, row.filter, row.alert_id, row.object, row.change, row.state, row.tried).where(
            some, row.change.in_(["match", "update"])
        )
        for one in conn.execute(asked.order_by(row.id).with_for_update()):
            untouched = one.tried is None  # set when it is taken, and kept: whoever took it may have died with it half sent
            known = Told(one.id, one.subscription, one.object, one.change, one.state, untouched)
            found.setdefault((one.subscription, one.filter, one.alert_id), []).append(known)
    return found


def cancel(conn: Connection, some: Sequence[Told], why: str) -> None:
    """Take back words that wait; where nobody can have heard of an object, the next of it is the first."""
    row, first = tables.deliveries.c, tables.first_told.c
    for start in range(0, len(some), _AT_ONCE):
        part = some[start : start + _AT_ONCE]
        mine = (row.id.in_([one.id for one in part]), row.state == PENDING)
        conn.execute(update(tables.deliveries).where(*mine).values(state=CANCELLED, error=why))
        unheard = [(one.subscription, one.object) for one in part if one.untouched]
        if unheard:
            conn.execute(
                delete(tables.first_told).where(
                    tuple_(first.subscription, first.object).in_(unheard), first.delivery.in_([one.id for one in part])
                )
            )


def firsts(conn: Connection, rows: Sequence[Made]) -> list[Made]:
    """Rows of subscriptions that want only the first of an object: those that are not the first, as skipped."""
    if not rows:
        return []
    claim = text(
        "INSERT INTO first_told (subscription, object, delivery) VALUES (:subscription, :object, :id) ON CONFLICT DO NOTHING"
    )
    keys = [{"subscription": row.subscription, "object": row.object, "id": row.id} for row in rows]
    conn.execute(claim, sorted(keys, key=lambda key: (key["subscription"], key["object"])))
    first = tables.first_told.c
    owners: dict[tuple[str, str], str] = {}
    pairs = sorted({(row.subscription, row.object) for row in rows})
    for start in range(0, len(pairs), _AT_ONCE):
        some = tuple_(first.subscription, first.object).in_(pairs[start : start + _AT_ONCE])
        asked = select(first.subscription, first.object, first.delivery).where(some)
        owners |= {(one.subscription, one.object): one.delivery for one in conn.execute(asked)}
    return [row if owners.get((row.subscription, row.object)) == row.id else _skipped(row) for row in rows]


def _skipped(row: Made) -> Made:
    values = {name: getattr(row, name) for name in Made.__dataclass_fields__}
    return Made(**values | {"state": SKIPPED, "body": ""})
