"""Events as they were: what was known of each after every batch of notices, in the order the batches were worked off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from broker.store import event_rows, tables
from broker.store.engine import Store, connection
from broker.store.known import known
from broker.store.names import TEST, Member, components, name_of
from broker.store.revisions import EventChange, changes_of, nameless
from broker.store.times import to_micros

__all__ = ["Moment", "moments", "processed"]

_CHUNK = 500


@dataclass(slots=True)
class Moment:
    """A batch of notices.

    Parameters
    ----------
    at
        When it was kept, microseconds: alerts kept later were held against what it says.
    events
        Rows of the table of events, by name, as it left them; ``None`` of one that has become part of another.
    changes
        What each notice did.
    renamed
        Old and new names.
    """

    at: int
    events: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    changes: list[EventChange] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)


def moments(store: Store, first: datetime, last: datetime) -> list[Moment]:
    """All batches of notices of events that have a map and happened between two times, oldest first.

    An event is numbered as it is now: numbers change only where two events become one.
    """
    event, notice = tables.events.c, tables.event_notices.c
    mapped = select(notice.event_name).where(notice.map_path.is_not(None))
    wanted = select(event.event_name).where(event.time.between(to_micros(first), to_micros(last)), event.event_name.in_(mapped))
    with connection(store) as conn:
        names = sorted(conn.execute(wanted).scalars())
        notices, circulars = event_rows.told_of(conn, names)
    when = processed(store, [member["alert_id"] for member in (*notices, *circulars)])
    by_event: defaultdict[str, list[Member]] = defaultdict(list)
    for member in (*notices, *circulars):
        by_event[member["event_name"]].append(member)
    found: dict[int, Moment] = {}
    for name, members in by_event.items():
        _play(found, name, members, when)
    return [found[at] for at in sorted(found)]


def processed(store: Store, alert_ids: Sequence[str]) -> dict[str, int]:
    """When alerts were kept, microseconds, by id; those that the database has not are left out."""
    alert = tables.alerts.c
    found: dict[str, int] = {}
    with connection(store) as conn:
        for start in range(0, len(alert_ids), _CHUNK):
            some = alert_ids[start : start + _CHUNK]
            rows = conn.execute(select(alert.alert_id, alert.processed).where(alert.alert_id.in_(some)))
            found.update((row.alert_id, row.processed) for row in rows)
    return found


def _play(found: dict[int, Moment], event_name: str, members: Sequence[Member], when: Mapping[str, int]) -> None:
    """Add what became of one event, which may have been several before they became one."""
    batches: defaultdict[int, list[Member]] = defaultdict(list)
    for member in members:
        batches[when.get(member["alert_id"], member["received"])].append(member)
    known_now: list[Member] = []
    before: dict[str, frozenset[str]] = {}
    for at in sorted(batches):
        known_now += batches[at]
        came = {member["alert_id"] for member in batches[at]}
        moment = found.setdefault(at, Moment(at))
        after: dict[str, frozenset[str]] = {}
        for group in components(known_now):
            notices = sorted((one for one in group if not one.get("circular")), key=lambda one: int(one["revision"]))
            if not notices or all(map(nameless, group)):
                continue
            name = name_of(group) + TEST * event_name.endswith(TEST)
            after[name] = frozenset(one["alert_id"] for one in group)
            if after[name] != before.get(name):
                moment.events[name] = known(name, notices)
                moment.changes += changes_of(name, notices, came)
        for old in before.keys() - after.keys():
            moment.events[old] = None
            moment.renamed += [(old, new) for new, ids in after.items() if before[old] & ids][:1]
        before = after
