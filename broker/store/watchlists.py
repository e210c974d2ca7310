"""Watchlists: named lists of targets that filters ask for. What is in a list is one of its versions, which never change.

They are kept in the database, so that every host that processes alerts has them as soon as a change
(`broker.store.watchlist_changes`) is committed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, Select, func, select

from broker.errors import NotFoundError
from broker.store import tables
from broker.store.engine import Store, connection
from broker.store.lists import Ownership, unknown
from broker.store.target_data import unpack
from broker.store.times import from_micros

__all__ = [
    "Version",
    "Watchlist",
    "current",
    "get",
    "listing",
    "newest",
    "no_list",
    "targets",
    "targets_of",
    "versions",
    "whose",
]

_LIST, _VERSION = tables.watchlists.c, tables.watchlist_versions.c


@dataclass(frozen=True, slots=True)
class Version:
    """What a list was from one change to the next.

    Parameters
    ----------
    change
        What it changed, in words.
    targets
        How many there are.
    radius
        Arcseconds around targets that have no radius of their own.
    digest
        The same for the same targets.
    """

    version: int
    created: datetime
    who: str | None
    change: str
    targets: int
    radius: float
    digest: str


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A list, with its newest version."""

    name: str
    owner: str | None
    team: str | None
    visibility: str
    description: str
    created: datetime
    who: str | None
    newest: Version


def listing(store: Store) -> list[Watchlist]:
    """Every list, by name."""
    with connection(store) as conn:
        return [_watchlist(row) for row in conn.execute(_lists().order_by(_LIST.name))]


def whose(store: Store) -> dict[str, Ownership]:
    """Whose each watchlist is, by name."""
    with connection(store) as conn:
        rows = conn.execute(select(_LIST.name, _LIST.owner, _LIST.team, _LIST.visibility))
        return {row.name: Ownership(row.owner, row.team, row.visibility) for row in rows}


def get(store: Store, name: str) -> Watchlist:
    """One list.

    Raises
    ------
    NotFoundError
        There is none; the nearest name is told.
    """
    with connection(store) as conn:
        row = conn.execute(_lists().where(_LIST.name == name)).first()
        if row is None:
            raise no_list(conn, name)
    return _watchlist(row)


def versions(store: Store, name: str) -> list[Version]:
    """Every version of a list, the newest first."""
    with connection(store) as conn:
        rows = conn.execute(_versions().where(_VERSION.name == name).order_by(_VERSION.version.desc())).all()
        if not rows:
            raise no_list(conn, name)
    return [_version(row) for row in rows]


def targets(store: Store, name: str, version: int | None = None) -> tuple[Version, pl.DataFrame]:
    """A version, the newest unless one is named, and its targets.

    Returns
    -------
    Version
    DataFrame
        Columns as `broker.store.target_tables.SCHEMA` has them: a null radius is the version's.
    """
    with connection(store) as conn:
        row = newest(conn, name)
        if version is not None and version != row.version:
            wanted = _versions().where(_VERSION.name == name, _VERSION.version == version)
            found = conn.execute(wanted).first()
            if found is None:
                raise NotFoundError(f"watchlist {name!r} has no version {version}: there are 1 to {row.version}")
            row = found
        return _version(row), targets_of(conn, name, row)


def current(store: Store, names: Collection[str]) -> Mapping[str, tuple[int, str]]:
    """Newest version and its digest of those lists that there are."""
    with connection(store) as conn:
        rows = conn.execute(_lists().where(_LIST.name.in_(list(names)))).all()
    return {row.name: (row.version, row.digest) for row in rows}


def _lists() -> Select[Any]:
    last = select(_VERSION.name, func.max(_VERSION.version).label("version")).group_by(_VERSION.name).subquery()
    made = (_LIST.created.label("made"), _LIST.who.label("maker"))
    shown = [column for column in tables.watchlist_versions.c if column.name != "data"]
    joined = tables.watchlists.join(last, last.c.name == _LIST.name).join(
        tables.watchlist_versions, (_VERSION.name == _LIST.name) & (_VERSION.version == last.c.version)
    )
    return select(*shown, _LIST.owner, _LIST.team, _LIST.visibility, _LIST.description, *made).select_from(joined)


def _versions() -> Select[Any]:
    return select(*(column for column in tables.watchlist_versions.c if column.name != "data"))


def newest(conn: Connection, name: str) -> Row[Any]:
    """Columns of a list's newest version, all but its data."""
    row = conn.execute(_versions().where(_VERSION.name == name).order_by(_VERSION.version.desc()).limit(1)).first()
    if row is None:
        raise no_list(conn, name)
    return row


def no_list(conn: Connection, name: str) -> NotFoundError:
    """Says that there is no such list, and which is meant."""
    return NotFoundError(unknown("watchlist", name, conn.execute(select(_LIST.name)).scalars().all()))


def targets_of(conn: Connection, name: str, row: Row[Any]) -> pl.DataFrame:
    """Targets of a version whose row that is."""
    here = (_VERSION.name == name, _VERSION.version >= row.base, _VERSION.version <= row.version)
    data = conn.execute(select(_VERSION.data).where(*here).order_by(_VERSION.version)).scalars().all()
    if not data:  # taken away since the row was read
        raise no_list(conn, name)
    return unpack(data)


def _watchlist(row: Row[Any]) -> Watchlist:
    made = from_micros(row.made)
    assert made is not None
    return Watchlist(row.name, row.owner, row.team, row.visibility, row.description, made, row.maker, _version(row))


def _version(row: Row[Any]) -> Version:
    created = from_micros(row.created)
    assert created is not None
    return Version(row.version, created, row.who, row.change, row.targets, row.radius, row.digest)
