"""Notices into events: each a numbered revision, and what all of an event's revisions together say.

A batch's notices are put beside all those of the events they touch, grouped anew by the keys they share (`broker.store.names`),
and what differs is written: usually one more revision. Two events that a notice links become one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection

from broker.record import Record
from broker.store import event_rows as rows
from broker.store import observations
from broker.store.authors import leading, retracts
from broker.store.known import in_order, known, may_place
from broker.store.names import TEST, Member, aliases_of, components, is_real, keys_of, name_of

__all__ = ["RENAMED", "EventChange", "changes_of", "nameless", "upsert_notices"]

_LOCK = 0x4E554E45  # "NUNE"

RENAMED: list[Callable[[Connection, str, str], None]] = [observations.renamed]
"""Called in the same transaction with the old and the new name of an event that was merged into another or renamed."""


@dataclass(frozen=True, slots=True)
class EventChange:
    """What a notice did to its event.

    Parameters
    ----------
    event_name
        The event's name now.
    alert_id, revision
        Of the notice, and its number within the event.
    map_changed
        Whether the notice brought a map or an error circle that may be the event's.
    retracted
        Whether the notice retracts the event.
    real
        Whether the event is no test, injection, commanded or mock event.
    """

    event_name: str
    alert_id: str
    revision: int
    map_changed: bool
    retracted: bool
    real: bool


@dataclass(frozen=True, slots=True)
class _Event:
    """An event as it is to be written."""

    name: str
    notices: list[dict[str, Any]]
    circulars: list[Member]
    aliases: dict[str, tuple[str, bool]]

    def row(self) -> dict[str, Any]:
        return known(self.name, self.notices) if self.notices else _only_written_of(self.name, self.circulars)


def upsert_notices(
    conn: Connection, frame: pl.DataFrame, records: Sequence[Record], maps: Mapping[str, str] | None = None
) -> list[EventChange]:
    """Keep the notices of a batch and bring their events up to date.

    Parameters
    ----------
    conn
        In a transaction.
    frame
        Common columns, ``_record``, ``_event`` where there is more than ``event_name`` to group by, and ``skymap.area50,
        skymap.area90, skymap.distmean, skymap.diststd`` where known; rows that name and cite nothing are passed over.
    records
        Of the batch.
    maps
        Path of the map, below the folder of maps, by alert id.

    Returns
    -------
    list of EventChange
        One a notice that belongs to an event, in their order; none for circulars. A notice that is there already keeps its
        number as long as its event is not merged.
    """
    incoming = rows.incoming(frame, records, maps or {})
    if not incoming:
        return []
    if conn.dialect.name == "postgresql":  # one writer at a time gives numbers and joins events
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    came = {member["alert_id"]: member for member in incoming}
    before = rows.touched(conn, list(came), {key for member in incoming for key in keys_of(member)}, incoming)
    awaited = before.held.keys() | {key for member in incoming if not nameless(member) for key in keys_of(member)}
    incoming = [member for member in incoming if not nameless(member) or keys_of(member) & awaited]
    if not incoming:
        return []
    came = {member["alert_id"]: member for member in incoming}
    members = [came.pop(member["alert_id"], member) for member in before.members]
    after = _events([*members, *came.values()], before)
    written = [(event.row(), event.notices, event.circulars, event.aliases) for event in after]
    rows.write(conn, before, written, {member["alert_id"] for member in incoming})
    _tell_renamed(conn, before.names, after)
    return _changes(incoming, after)


def nameless(member: Member) -> bool:
    """Whether it is a VOEvent that belongs to an event only if another cites it."""
    return not (member["names"] or member.get("refers") or member.get("cites"))


def _events(members: Sequence[Member], before: rows.Before) -> list[_Event]:
    """Members as events, each with its name and its notices numbered."""
    groups = components(members)
    names = [name_of(group) for group in groups]
    real = {name for name, group in zip(names, groups, strict=True) if is_real(group[0])}
    events = []
    for name, group in zip(names, groups, strict=True):
        own = name if is_real(group[0]) or name not in real else name + TEST
        notices = [dict(member) for member in group if not member.get("circular")]
        circulars = [member for member in group if member.get("circular")]
        _number(notices, before)
        for notice in notices:
            notice["event_name"] = own
        events.append(_Event(own, notices, [{**one, "event_name": own} for one in circulars], aliases_of(group)))
    return events


def _number(notices: list[dict[str, Any]], before: rows.Before) -> None:
    """Numbers by receipt. What has one keeps it and the rest goes behind, unless two events have become one, or one two."""
    origins = {before.places[notice["alert_id"]][0] for notice in notices if notice["alert_id"] in before.places}
    kept = len(origins) == 1 and len(before.members_of(next(iter(origins)))) == sum(
        notice["alert_id"] in before.places for notice in notices
    )
    last = 0
    if kept:
        for notice in notices:
            notice["revision"] = before.places.get(notice["alert_id"], ("", 0))[1]
        last = max(notice["revision"] for notice in notices)
    for notice in notices:
        if not kept or not notice["revision"]:
            last += 1
            notice["revision"] = last
    notices.sort(key=lambda notice: notice["revision"])


def _tell_renamed(conn: Connection, names: Sequence[str], after: Sequence[_Event]) -> None:
    now = {event.name for event in after}
    for old in sorted(set(names) - now):
        new = next((event.name for event in after if any(alias == old for alias, _ in event.aliases.values())), None)
        if new is not None:
            for tell in RENAMED:
                tell(conn, old, new)


def _changes(incoming: Sequence[Member], after: Sequence[_Event]) -> list[EventChange]:
    wanted = {member["alert_id"] for member in incoming if not member.get("circular")}
    found = {change.alert_id: change for event in after for change in changes_of(event.name, event.notices, wanted)}
    return [found[member["alert_id"]] for member in incoming if member["alert_id"] in found]


def changes_of(event_name: str, notices: Sequence[Member], wanted: Collection[str]) -> list[EventChange]:
    """What some of an event's notices did to it.

    Parameters
    ----------
    notices
        All of the event, numbered.
    wanted
        Ids of those that are asked for.
    """
    told = [notice for notice in notices if notice["alert_id"] in wanted]
    if not told:
        return []
    ordered = in_order(notices)
    lead = leading(event_name, ordered)
    believed = may_place(event_name, ordered, lead)
    real = all(map(is_real, notices))
    return [
        EventChange(
            event_name=event_name,
            alert_id=notice["alert_id"],
            revision=notice["revision"],
            map_changed=notice["map_path"] is not None and notice["alert_id"] in believed,
            retracted=retracts(notice, lead),
            real=real,
        )
        for notice in told
    ]


def _only_written_of(name: str, circulars: Sequence[Member]) -> dict[str, Any]:
    """Row of an event of which there are circulars only: they date, place and judge nothing."""
    last = circulars[-1]
    return {
        "event_name": name,
        "stream": last["stream"],
        "state": "initial",
        "real": is_real(last),
        "alert_tense": None if is_real(last) else "test",
        "revision": 0,
        "alert_id": last["alert_id"],
        "created": min(one["received"] for one in circulars),
        "updated": max(one["received"] for one in circulars),
    }
