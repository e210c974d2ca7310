"""Filters as versions: what is written is never changed, only the state of it.

A version is a draft, tested, live or retired; of a name at most one is live. Each change counts a counter up, so that whoever
holds the live ones knows by one look-up whether they are still those.

Longer than 300 lines: what may become of a version, and how that is kept, are one matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, select

from broker.errors import ConflictError, NotFoundError, UsageError
from broker.filtering.parse import nearest
from broker.store import tables
from broker.store.engine import Store, connection, transaction
from broker.store.lists import Ownership
from broker.store.times import from_micros, now

__all__ = [
    "DRAFT",
    "LIVE",
    "PUBLIC",
    "RETIRED",
    "STATES",
    "TESTED",
    "Change",
    "FilterVersion",
    "State",
    "bump",
    "editing",
    "every",
    "generation",
    "get",
    "history",
    "live",
    "of",
    "put",
    "set_state",
    "share",
    "versions",
    "whose",
]

State = Literal["draft", "tested", "live", "retired"]
DRAFT: Final = "draft"
TESTED: Final = "tested"
LIVE: Final = "live"
RETIRED: Final = "retired"
STATES: Final = (DRAFT, TESTED, LIVE, RETIRED)

_NEXT: Final[Mapping[str, frozenset[str]]] = {
    DRAFT: frozenset({TESTED, RETIRED}),
    TESTED: frozenset({LIVE, RETIRED}),
    LIVE: frozenset({RETIRED}),
    RETIRED: frozenset({TESTED}),
}
_LOCK: Final = 0x4E554649  # "NUFI"


PUBLIC: Final = Ownership()
"""Nobody's and everybody's."""


@dataclass(frozen=True, slots=True)
class FilterVersion:
    """A version of a filter.

    Parameters
    ----------
    text
        The filter as TOML; its version is this one.
    digest
        Of what it says: two versions with the same find the same.
    author
        Who wrote it: an account, ``local``, or ``file`` for the folder of filters.
    owner, team, visibility
        Of the filter, for all its versions: whose it is, and whether ``private``, for the ``team`` or ``public``.
    created
        When it came.
    """

    name: str
    version: int
    state: State
    text: str
    digest: str
    author: str
    owner: str | None
    team: str | None
    visibility: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A version came into a state, by whom and when."""

    version: int
    state: State
    who: str
    note: str | None
    at: datetime


def generation(store: Store) -> int:
    """A number that grows whenever live filters, or the lists they look into, change: one look-up."""
    counter = tables.counters.c
    with connection(store) as conn:
        return int(conn.execute(select(counter.value).where(counter.name == "filters")).scalar() or 0)


def bump(conn: Connection) -> None:
    """Count a change."""
    conn.exec_driver_sql(
        "INSERT INTO counters (name, value) VALUES ('filters', 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1"
    )


@contextmanager
def editing(store: Store) -> Iterator[Connection]:
    """Transaction in which nobody else changes filters."""
    with transaction(store) as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        yield conn


def live(store: Store) -> list[FilterVersion]:
    """The live version of each filter that has one, by name."""
    return every(store, state=LIVE)


def every(store: Store, *, state: str | None = None) -> list[FilterVersion]:
    """All versions, or those in a state, by name and version."""
    asked = _asked() if state is None else _asked().where(tables.filter_versions.c.state == state)
    with connection(store) as conn:
        return [_version(row) for row in conn.execute(asked)]


def versions(store: Store, name: str) -> list[FilterVersion]:
    """Versions of a filter, oldest first; `NotFoundError` where there is none."""
    with connection(store) as conn:
        found = of(conn, name)
    if not found:
        there = sorted(whose(store))
        raise NotFoundError(f"no filter {name!r}{nearest(name, there)}: `nuncius filter list --state all` names all there are")
    return found


def get(store: Store, name: str, version: int | None = None) -> FilterVersion:
    """A version; the live one where none is named, else the newest.

    Raises
    ------
    NotFoundError
        There is none.
    """
    found = versions(store, name)
    if version is None:
        return next((one for one in found if one.state == LIVE), found[-1])
    for one in found:
        if one.version == version:
            return one
    raise NotFoundError(f"filter {name!r} has no version {version}: it has {', '.join(str(one.version) for one in found)}")


def history(store: Store, name: str) -> list[Change]:
    """Who brought which version into which state, in order."""
    change = tables.filter_changes.c
    asked = select(change.version, change.state, change.who, change.note, change.at).where(change.name == name)
    with connection(store) as conn:
        return [Change(*row[:4], _when(row.at)) for row in conn.execute(asked.order_by(change.seq))]


def put(
    conn: Connection,
    name: str,
    text: str,
    digest: str,
    who: str,
    *,
    version: int,
    base: int | None = None,
    owned: Ownership = PUBLIC,
) -> FilterVersion:
    """Keep a new version, a draft; one that says the same is returned instead.

    Parameters
    ----------
    conn
        Of `editing`.
    version
        Its number, above those there are.
    base
        Version that was edited; ``None`` where nobody else's edit can be overwritten.
    owned
        Whose it is, if it is the first.

    Raises
    ------
    ConflictError
        A version came after `base`: two edited at once.
    """
    found = of(conn, name)
    newest = found[-1].version if found else 0
    if base is not None and base != newest:
        raise ConflictError(
            f"filter {name!r} was changed meanwhile: version {newest} came after version {base}, which you edited; "
            "read it and edit that"
        )
    for one in reversed(found):
        if one.digest == digest:
            return one
    if version <= newest:
        message = f"version {version} of filter {name!r} is not above {newest}"
        raise AssertionError(message)
    if not found:
        conn.execute(tables.filter_names.insert().values(name=name, **asdict(owned)))
    row = {"name": name, "version": version, "state": DRAFT, "text": text, "digest": digest, "author": who, "created": now()}
    conn.execute(tables.filter_versions.insert().values(row))
    _tell(conn, name, version, DRAFT, who, None)
    return next(one for one in of(conn, name) if one.version == version)


def set_state(conn: Connection, name: str, version: int, state: State, who: str, note: str | None = None) -> None:  # noqa: PLR0917 - a row's worth
    """Bring a version into a state; the one that was live before it is retired.

    Raises
    ------
    UsageError
        It cannot come into that state from where it is.
    """
    found = {one.version: one for one in of(conn, name)}
    if version not in found:
        raise NotFoundError(f"filter {name!r} has no version {version}")
    now_in = found[version].state
    if state == now_in:
        return
    if state not in _NEXT[now_in]:
        allowed = " or ".join(sorted(_NEXT[now_in]))
        raise UsageError(f"version {version} of filter {name!r} is {now_in} and cannot become {state}, only {allowed}")
    for one in found.values():
        if state == LIVE and one.state == LIVE:
            _move(conn, name, one.version, RETIRED, who, f"version {version} takes over")
    _move(conn, name, version, state, who, note)
    if LIVE in {state, now_in}:
        bump(conn)


def share(store: Store, name: str, owned: Ownership) -> None:
    """Say whose a filter is and who may see it."""
    table = tables.filter_names
    with editing(store) as conn:
        conn.execute(table.update().where(table.c.name == name).values(asdict(owned)))
        bump(conn)


def whose(store: Store) -> dict[str, Ownership]:
    """Whose each filter is, by name."""
    table = tables.filter_names
    with connection(store) as conn:
        return {row.name: Ownership(row.owner, row.team, row.visibility) for row in conn.execute(select(table))}


def _move(conn: Connection, name: str, version: int, state: State, who: str, note: str | None) -> None:  # noqa: PLR0917 - likewise
    table = tables.filter_versions
    conn.execute(table.update().where(table.c.name == name, table.c.version == version).values(state=state))
    _tell(conn, name, version, state, who, note)


def _tell(conn: Connection, name: str, version: int, state: State, who: str, note: str | None) -> None:  # noqa: PLR0917 - likewise
    row = {"name": name, "version": version, "state": state, "who": who, "note": note, "at": now()}
    conn.execute(tables.filter_changes.insert().values(row))


def of(conn: Connection, name: str) -> list[FilterVersion]:
    """Versions of a filter, oldest first; none where there is no such filter."""
    return [_version(row) for row in conn.execute(_asked().where(tables.filter_versions.c.name == name))]


def _asked() -> Any:
    one, named = tables.filter_versions, tables.filter_names.c
    joined = one.join(tables.filter_names, named.name == one.c.name)
    asked = select(one, named.owner, named.team, named.visibility).select_from(joined)
    return asked.order_by(one.c.name, one.c.version)


def _version(row: Row[Any]) -> FilterVersion:
    return FilterVersion(
        row.name,
        row.version,
        row.state,
        row.text,
        row.digest,
        row.author,
        row.owner,
        row.team,
        row.visibility,
        _when(row.created),
    )


def _when(micros: int) -> datetime:
    when = from_micros(micros)
    assert when is not None
    return when
