"""Changes of regions, which tell every process that they are there."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from broker.errors import UsageError
from broker.science.moc_read import order_of
from broker.science.sky import NPIX29
from broker.store import tables
from broker.store.engine import Store, transaction
from broker.store.events import canonical_name
from broker.store.lists import Ownership, check_name, check_text, check_visibility, note_change
from broker.store.regions import Region, get, newest, no_region
from broker.store.times import now

__all__ = ["change", "create", "follow", "remove", "replace"]

IntArray = npt.NDArray[np.int64]

_REGION, _VERSION = tables.regions.c, tables.region_versions.c


def create(
    store: Store,
    name: str,
    inside: IntArray,
    *,
    description: str = "",
    visibility: str = "public",
    owner: str | None = None,
    team: str | None = None,
    who: str | None = None,
) -> Region:
    """Keep a region.

    Parameters
    ----------
    inside : ndarray of int64, shape (n, 2)
        Half-open order-29 ranges, as `broker.science.moc_read.read_moc` gives them.

    Raises
    ------
    UsageError
        The name is taken or cannot be, or the region is empty.
    """
    row = _row(name, Ownership(owner, team, visibility), description, who)
    _check(name, inside)
    try:
        with transaction(store) as conn:
            conn.execute(insert(tables.regions), row)
            _write(conn, name, inside, None, who)
    except IntegrityError as error:
        raise _taken(name) from error
    return get(store, name)


def follow(
    store: Store,
    name: str,
    event_name: str,
    level: float,
    *,
    description: str = "",
    visibility: str = "public",
    owner: str | None = None,
    team: str | None = None,
    who: str | None = None,
) -> Region:
    """Make a region of an event's newest map.

    Raises
    ------
    NotFoundError
        There is no such event.
    UsageError
        The name is taken or cannot be, or the level is no probability.
    """
    if not 0.0 < level <= 1.0:
        raise UsageError(f"level {level:g}: it is a probability, above 0 and up to 1")
    canonical_name(store, event_name)
    row = _row(name, Ownership(owner, team, visibility), description, who) | {"event_name": event_name, "level": level}
    try:
        with transaction(store) as conn:
            conn.execute(insert(tables.regions), row)
            note_change(conn)
    except IntegrityError as error:
        raise _taken(name) from error
    return get(store, name)


def replace(store: Store, name: str, inside: IntArray, *, who: str | None = None) -> Region:
    """Put another coverage map in the place of a region's; a version, unless it is the same.

    Raises
    ------
    UsageError
        The region follows an event, or the map is empty.
    """
    _check(name, inside)
    with transaction(store) as conn:
        row = conn.execute(select(tables.regions).where(_REGION.name == name).with_for_update()).first()
        if row is None:
            raise no_region(conn, name)
        if row.event_name is not None:
            raise UsageError(f"region {name!r} follows event {row.event_name!r}: remove it, and add another")
        _write(conn, name, inside, newest(conn, name), who)
    return get(store, name)


def change(
    store: Store,
    name: str,
    *,
    description: str | None = None,
    visibility: str | None = None,
    owner: str | None = None,
    team: str | None = None,
) -> Region:
    """Change what is given of what is said of a region. An empty `team` is none."""
    given = {
        "description": None if description is None else check_text("description", description),
        "visibility": None if visibility is None else check_visibility(visibility),
        "owner": owner and check_text("owner", owner),
    }
    values: dict[str, str | None] = {key: value for key, value in given.items() if value is not None}
    if team is not None:
        values["team"] = check_text("team", team) or None
    with transaction(store) as conn:
        if values:
            conn.execute(update(tables.regions).where(_REGION.name == name), values)
            note_change(conn)
    return get(store, name)


def remove(store: Store, name: str) -> None:
    """Take a region away with all its versions; filters that ask for it find null from then on."""
    with transaction(store) as conn:
        if not conn.execute(delete(tables.regions).where(_REGION.name == name)).rowcount:
            raise no_region(conn, name)
        conn.execute(delete(tables.region_versions).where(_VERSION.name == name))
        note_change(conn)


def _check(name: str, inside: IntArray) -> None:
    if not inside.size:
        raise UsageError(f"region {name!r}: the coverage map is empty: no alert could ever lie in it")


def _row(name: str, owned: Ownership, description: str, who: str | None) -> dict[str, Any]:
    return {
        "name": check_name("region", name),
        "owner": owned.owner and check_text("owner", owned.owner),
        "team": owned.team and check_text("team", owned.team),
        "visibility": check_visibility(owned.visibility),
        "description": check_text("description", description),
        "created": now(),
        "who": who,
    }


def _write(conn: Connection, name: str, inside: IntArray, before: Row[Any] | None, who: str | None) -> None:
    plain = np.ascontiguousarray(inside, "<i8").tobytes()
    digest = hashlib.blake2b(plain, digest_size=16).hexdigest()
    if before is not None and before.digest == digest:
        return
    row = {
        "name": name,
        "version": 1 if before is None else before.version + 1,
        "created": now(),
        "who": who,
        "healpix_order": order_of(inside),
        "fraction": float((inside[:, 1] - inside[:, 0]).sum()) / NPIX29,
        "digest": digest,
        "data": zlib.compress(plain),
    }
    conn.execute(insert(tables.region_versions), row)
    note_change(conn)


def _taken(name: str) -> UsageError:
    return UsageError(f"there is a region {name!r}: `nuncius region replace {name} FILE` changes it")
