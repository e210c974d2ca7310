"""Regions: named parts of the sky that filters ask for.

A region is either a coverage map, in versions that never change, or follows a credible level of an event's newest map. They are
changed by `broker.store.region_changes`.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, Select, func, select

from broker.errors import NotFoundError
from broker.store import tables
from broker.store.engine import Store, connection
from broker.store.events import canonical_name
from broker.store.lists import Ownership, unknown
from broker.store.times import from_micros

__all__ = ["Region", "RegionVersion", "get", "listing", "map_of", "newest", "no_region", "ranges", "some", "versions", "whose"]

IntArray = npt.NDArray[np.int64]

_REGION, _VERSION = tables.regions.c, tables.region_versions.c


@dataclass(frozen=True, slots=True)
class RegionVersion:
    """What a region was from one change to the next.

    Parameters
    ----------
    healpix_order
        Of the smallest cells.
    fraction
        Of the sky.
    digest
        The same for the same region.
    """

    version: int
    created: datetime
    who: str | None
    healpix_order: int
    fraction: float
    digest: str


@dataclass(frozen=True, slots=True)
class Region:
    """A region.

    Parameters
    ----------
    event_name, level
        The event that is followed, under any of its names, and at which credible level.
    newest
        Version of a coverage map; ``None`` where an event is followed.
    """

    name: str
    owner: str | None
    team: str | None
    visibility: str
    description: str
    created: datetime
    who: str | None
    event_name: str | None
    level: float | None
    newest: RegionVersion | None


def listing(store: Store) -> list[Region]:
    """Every region, by name."""
    with connection(store) as conn:
        return [_region(row) for row in conn.execute(_regions().order_by(_REGION.name))]


def whose(store: Store) -> dict[str, Ownership]:
    """Whose each region is, by name."""
    with connection(store) as conn:
        rows = conn.execute(select(_REGION.name, _REGION.owner, _REGION.team, _REGION.visibility))
        return {row.name: Ownership(row.owner, row.team, row.visibility) for row in rows}


def some(store: Store, names: Collection[str]) -> list[Region]:
    """Those of the regions that there are."""
    with connection(store) as conn:
        return [_region(row) for row in conn.execute(_regions().where(_REGION.name.in_(list(names))))]


def get(store: Store, name: str) -> Region:
    """One region; `NotFoundError` where there is none."""
    with connection(store) as conn:
        row = conn.execute(_regions().where(_REGION.name == name)).first()
        if row is None:
            raise no_region(conn, name)
    return _region(row)


def versions(store: Store, name: str) -> list[RegionVersion]:
    """Every version of a region, the newest first; none of one that follows an event."""
    get(store, name)
    with connection(store) as conn:
        rows = conn.execute(_versions().where(_VERSION.name == name).order_by(_VERSION.version.desc())).all()
    return [_version(row) for row in rows]


def ranges(store: Store, name: str, version: int) -> IntArray:
    """Order-29 ranges of a version, shape (n, 2).

    Raises
    ------
    NotFoundError
        There is none.
    """
    with connection(store) as conn:
        data = conn.execute(select(_VERSION.data).where(_VERSION.name == name, _VERSION.version == version)).scalar()
    if data is None:
        raise NotFoundError(f"region {name!r} has no version {version}: `nuncius region show {name}` lists them")
    return np.frombuffer(zlib.decompress(data), "<i8").astype(np.int64).reshape(-1, 2)


def map_of(store: Store, event_name: str) -> str | None:
    """Path of an event's newest map; ``None`` where it has none, is retracted, or is not there."""
    try:
        name = canonical_name(store, event_name)
    except NotFoundError:
        return None
    event = tables.events.c
    with connection(store) as conn:
        row = conn.execute(select(event.map_path, event.state).where(event.event_name == name)).first()
    return None if row is None or row.state == "retracted" else row.map_path


def newest(conn: Connection, name: str) -> Row[Any] | None:
    """Columns of a region's newest coverage map, all but its data."""
    return conn.execute(_versions().where(_VERSION.name == name).order_by(_VERSION.version.desc()).limit(1)).first()


def _versions() -> Select[Any]:
    return select(*(column for column in tables.region_versions.c if column.name != "data"))


def _regions() -> Select[Any]:
    last = select(_VERSION.name, func.max(_VERSION.version).label("version")).group_by(_VERSION.name).subquery()
    joined = tables.regions.outerjoin(last, last.c.name == _REGION.name).outerjoin(
        tables.region_versions, (_VERSION.name == _REGION.name) & (_VERSION.version == last.c.version)
    )
    shown = [column for column in tables.region_versions.c if column.name not in {"name", "data", "created", "who"}]
    times = (_VERSION.created.label("written"), _VERSION.who.label("writer"))
    return select(tables.regions, *shown, *times).select_from(joined)


def _region(row: Row[Any]) -> Region:
    made = from_micros(row.created)
    assert made is not None
    last = None
    if row.version is not None:
        written = from_micros(row.written)
        assert written is not None
        last = RegionVersion(row.version, written, row.writer, row.healpix_order, row.fraction, row.digest)
    return Region(
        row.name, row.owner, row.team, row.visibility, row.description, made, row.who, row.event_name, row.level, last
    )


def _version(row: Row[Any]) -> RegionVersion:
    written = from_micros(row.created)
    assert written is not None
    return RegionVersion(row.version, written, row.who, row.healpix_order, row.fraction, row.digest)


def no_region(conn: Connection, name: str) -> NotFoundError:
    """Says that there is no such region, and which is meant."""
    return NotFoundError(unknown("region", name, conn.execute(select(_REGION.name)).scalars().all()))
