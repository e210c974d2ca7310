"""Events: notices grouped by the names of what they tell of, each kept as a numbered revision.

An event's row says what is known now (`broker.store.known`): position and error always from one revision, the map likewise.
Revisions are numbered as they come. A retraction is final. An event answers to any of its names.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select, tuple_

from broker.errors import NotFoundError, UsageError
from broker.identifiers import fold
from broker.store import tables
from broker.store.authors import stage_of
from broker.store.change_words import changed
from broker.store.cursor import read_cursor, write_cursor
from broker.store.engine import Store, connection
from broker.store.known import known
from broker.store.live_events import real
from broker.store.names import TEST, receipt
from broker.store.revisions import upsert_notices
from broker.store.times import from_micros, to_micros

__all__ = [
    "EventPage",
    "canonical_name",
    "events_after",
    "get_event",
    "list_events",
    "upsert_notices",
]

_CHUNK = 500
_INSTANTS = ("time", "issued", "received", "created", "updated")


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, and the cursor of the next page, if there is one."""

    events: list[dict[str, Any]]
    cursor: str | None


def list_events(
    store: Store,
    *,
    limit: int = 100,
    cursor: str | None = None,
    real_only: bool = False,
    tests_only: bool = False,
    state: str | None = None,
    stream: str | None = None,
    messenger: str | None = None,
    name: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> EventPage:
    """Events, the one that changed last first.

    Parameters
    ----------
    real_only, tests_only
        Leave out tests, mock events, injections and commanded events, or all others.
    state, stream, messenger
        Only events in this state, of this stream, of this messenger.
    name
        The event of this name, any of its names, in any spelling.
    start, end
        Half-open window of the events' own time.

    Raises
    ------
    UsageError
        The limit or the cursor is not good.
    """
    if not 1 <= limit <= 10_000:
        raise UsageError(f"limit {limit} is out of range: 1 to 10000")
    event = tables.events.c
    wanted = select(tables.events).order_by(event.updated.desc(), event.event_name.desc()).limit(limit + 1)
    if cursor is not None:
        updated, last = read_cursor(cursor, "event")
        wanted = wanted.where(tuple_(event.updated, event.event_name) < tuple_(int(updated), last))
    if real_only:
        wanted = wanted.where(real())
    if tests_only:
        wanted = wanted.where(event.real.is_(False))
    for column, wished in ((event.state, state), (event.stream, stream), (event.messenger, messenger)):
        if wished is not None:
            wanted = wanted.where(column == wished)
    if start is not None:
        wanted = wanted.where(event.time >= to_micros(start))
    if end is not None:
        wanted = wanted.where(event.time < to_micros(end))
    with connection(store) as conn:
        if name is not None:
            wanted = wanted.where(event.event_name == _canonical(conn, name))
        rows = conn.execute(wanted).mappings().all()
        shown = rows[:limit]
        aliases = _aliases(conn, [row["event_name"] for row in shown])
    more = len(rows) > limit
    return EventPage(
        [_shown(row) | {"aliases": aliases[row["event_name"]]} for row in shown],
        write_cursor("event", shown[-1]["updated"], shown[-1]["event_name"]) if more else None,
    )


def get_event(store: Store, event_name: str) -> dict[str, Any]:
    """An event with its revisions.

    Parameters
    ----------
    event_name
        Its name or any alias, in any spelling; of a true event and a test by one name, the true one.

    Returns
    -------
    dict
        What is known now, ``aliases``, ``revisions`` (a list in the order they came, each with ``type``, ``citations`` and
        ``change``, in words) and ``circulars`` (likewise, each edit of one a row with its ``version``).

    Raises
    ------
    NotFoundError
        No such event.
    """
    notice, circular = tables.event_notices, tables.event_circulars
    with connection(store) as conn:
        name = _canonical(conn, event_name)
        row = conn.execute(select(tables.events).where(tables.events.c.event_name == name)).mappings().first()
        rows = _dicts(conn, select(notice).where(notice.c.event_name == name).order_by(notice.c.revision))
        written = _dicts(conn, select(circular).where(circular.c.event_name == name))
        aliases = _aliases(conn, [name])[name] if name is not None else []
    if row is None:
        raise NotFoundError(f"no event {event_name!r}: see the list of events")
    return _shown(row) | {
        "aliases": aliases,
        "revisions": _revisions(row["event_name"], rows),
        "circulars": _circulars(written),
    }


def events_after(store: Store, revisions: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """What was known of events after some of their revisions: the same whenever it is asked.

    Parameters
    ----------
    revisions
        Event name and revision number of each.

    Returns
    -------
    list of dict
        One a revision, in their order: what was known then, ``aliases``, and ``change`` in words.

    Raises
    ------
    NotFoundError
        No such event or revision.
    """
    notice = tables.event_notices
    names = sorted({name for name, _ in revisions})
    histories: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    with connection(store) as conn:
        for first in range(0, len(names), _CHUNK):
            wanted = select(notice).where(notice.c.event_name.in_(names[first : first + _CHUNK]))
            for row in _dicts(conn, wanted.order_by(notice.c.event_name, notice.c.revision)):
                histories[row["event_name"]].append(row)
        aliases = _aliases(conn, names)
    found = []
    for name, revision in revisions:
        rows = [row for row in histories[name] if row["revision"] <= revision]
        if not rows or rows[-1]["revision"] != revision:
            raise NotFoundError(f"no revision {revision} of an event {name!r}")
        after = known(name, rows)
        before = known(name, rows[:-1]) if len(rows) > 1 else None
        found.append(_shown(after) | {"aliases": aliases[name], "change": changed(before, after, rows[-1])})
    return found


def canonical_name(store: Store, event_name: str) -> str:
    """The name an event goes by now, of any of its names.

    Raises
    ------
    NotFoundError
        No such event.
    """
    with connection(store) as conn:
        name = _canonical(conn, event_name)
    if name is None:
        raise NotFoundError(f"no event {event_name!r}: see the list of events")
    return name


def _canonical(conn: Connection, event_name: str) -> str | None:
    alias, event = tables.event_aliases.c, tables.events.c
    key = fold(event_name)
    held = {
        row.key: row.event_name for row in conn.execute(select(tables.event_aliases).where(alias.key.in_([key, f"~{key}"])))
    }
    exact = conn.execute(select(event.event_name).where(event.event_name == event_name)).scalar()
    return held.get(key) or exact or held.get(f"~{key}")


def _aliases(conn: Connection, names: list[Any]) -> defaultdict[Any, list[str]]:
    """Other names of events, as they were first met."""
    found: defaultdict[Any, list[str]] = defaultdict(list)
    alias = tables.event_aliases.c
    for first in range(0, len(names), _CHUNK):
        wanted = select(alias.event_name, alias.alias).where(
            alias.event_name.in_(names[first : first + _CHUNK]), alias.shown.is_(True)
        )
        for row in conn.execute(wanted.order_by(alias.key)):
            if row.alias != row.event_name.removesuffix(TEST):
                found[row.event_name].append(row.alias)
    return found


def _dicts(conn: Connection, wanted: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in conn.execute(wanted).mappings()]


def _revisions(event_name: str, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = []
    before: dict[str, Any] | None = None
    for number, row in enumerate(rows, start=1):
        after = known(event_name, rows[:number])
        cites = [each.partition(" ") for each in row["cites"] or ()]
        citations = [{"how": how, "of": of} for how, _, of in cites]
        citations += [{"how": "refers", "of": name} for name in row["refers"] or ()]
        citations += [{"how": "coincidence", "of": name} for name in row["related"] or ()]
        kept = {name: value for name, value in _shown(row).items() if name not in {"cites", "refers", "related", "offset"}}
        stage = stage_of(row)
        shown.append(kept | {"state": stage, "citations": citations, "change": changed(before, after, row)})
        before = after
    return shown


def _circulars(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    versions: Counter[str] = Counter()
    shown = []
    for row in sorted(rows, key=receipt):
        versions[row["circular"]] += 1
        kept = ("circular", "subject", "submitter", "alert_id")
        instants = {name: from_micros(row[name]) for name in ("posted", "received")}
        shown.append({name: row[name] for name in kept} | {"version": versions[row["circular"]]} | instants)
    return shown


def _shown(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    return dict(row) | {name: from_micros(row[name]) for name in _INSTANTS if name in row}
