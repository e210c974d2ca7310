"""Changes of watchlists: each makes a version, and tells every process that it is there."""

from __future__ import annotations

from typing import Any, Final

import polars as pl
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from broker.errors import NotFoundError, UsageError
from broker.store import tables
from broker.store.engine import Store, transaction
from broker.store.lists import check_name, check_text, check_visibility, note_change
from broker.store.target_data import FEW, LONGEST, after, changed, digest_of, pack
from broker.store.target_tables import SCHEMA, check_radius, checked
from broker.store.times import now
from broker.store.watchlists import Watchlist, get, newest, targets_of

__all__ = ["RADIUS", "change", "create", "put_target", "remove", "remove_target", "replace"]

RADIUS: Final = 2.0
"""Arcseconds around a target, unless said otherwise."""

_LIST, _VERSION = tables.watchlists.c, tables.watchlist_versions.c


def create(
    store: Store,
    name: str,
    table: pl.DataFrame,
    *,
    radius: float = RADIUS,
    description: str = "",
    visibility: str = "public",
    owner: str | None = None,
    team: str | None = None,
    who: str | None = None,
) -> Watchlist:
    """Make a list.

    Parameters
    ----------
    table
        Columns ``ra``, ``dec`` (degrees, ICRS), perhaps ``id`` and ``radius`` (arcsec): see `broker.store.target_tables`.
    radius
        Arcseconds around targets without one of their own.
    who
        Makes it.

    Raises
    ------
    UsageError
        The name is taken, or it or a target cannot be.
    """
    row = {
        "name": check_name("watchlist", name),
        "owner": owner and check_text("owner", owner),
        "team": team and check_text("team", team),
        "visibility": check_visibility(visibility),
        "description": check_text("description", description),
        "created": now(),
        "who": who,
    }
    frame, radius = checked(table), check_radius(radius)
    try:
        with transaction(store) as conn:
            conn.execute(insert(tables.watchlists), row)
            _write(conn, name, frame, None, radius=radius, words="made", who=who)
    except IntegrityError as error:
        raise UsageError(f"there is a watchlist {name!r}: `nuncius watchlist replace {name} FILE` changes it") from error
    return get(store, name)


def replace(store: Store, name: str, table: pl.DataFrame, *, radius: float | None = None, who: str | None = None) -> Watchlist:
    """Put all of a list's targets in place of those it has; `radius` stays where none is given."""
    frame = checked(table)
    with transaction(store) as conn:
        before = _held(conn, name)
        kept = before.radius if radius is None else check_radius(radius)
        _write(conn, name, frame, before, radius=kept, words="targets replaced", who=who)
    return get(store, name)


def put_target(
    store: Store, name: str, ident: str, *, ra: float, dec: float, radius: float | None = None, who: str | None = None
) -> Watchlist:
    """Add a target to a list, in place of those of its id.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS.
    radius
        Arcseconds; the list's own unless given.

    Raises
    ------
    UsageError
        The target cannot be.
    """
    if not (called := check_text("id", ident)):
        raise UsageError("a target has an id, by which it can be found again")
    frame = checked(pl.DataFrame([{"id": called, "ra": ra, "dec": dec, "radius": radius}], schema=SCHEMA))
    with transaction(store) as conn:
        before = _held(conn, name)
        there = targets_of(conn, name, before)
        if not there.filter(pl.col("id") == called).equals(frame):
            delta = changed(frame)
            words = f"target {called} put"
            _write(conn, name, after(there, delta), before, radius=before.radius, words=words, who=who, delta=delta)
    return get(store, name)


def remove_target(store: Store, name: str, ident: str, *, who: str | None = None) -> Watchlist:
    """Take the targets of an id away.

    Raises
    ------
    NotFoundError
        No target has it.
    UsageError
        Nothing would be left.
    """
    with transaction(store) as conn:
        before = _held(conn, name)
        there = targets_of(conn, name, before)
        left = there.filter(pl.col("id") != ident)
        if left.height == there.height:
            raise NotFoundError(f"watchlist {name!r} has no target {ident!r}: `nuncius watchlist export {name}` has them all")
        if left.is_empty():
            raise UsageError(f"{ident!r} is the only target of watchlist {name!r}: `nuncius watchlist remove {name}`")
        delta = changed(there.clear(), [ident])
        _write(
            conn,
            name,
            left,
            before,
            radius=before.radius,
            words=f"target {check_text('id', ident)} removed",
            who=who,
            delta=delta,
        )
    return get(store, name)


def change(
    store: Store,
    name: str,
    *,
    radius: float | None = None,
    description: str | None = None,
    visibility: str | None = None,
    owner: str | None = None,
    team: str | None = None,
    who: str | None = None,
) -> Watchlist:
    """Change what is given; another radius makes a version. An empty `team` is none."""
    given = {
        "description": description and check_text("description", description),
        "visibility": visibility and check_visibility(visibility),
        "owner": owner and check_text("owner", owner),
    }
    with transaction(store) as conn:
        before = _held(conn, name)
        values: dict[str, str | None] = {key: value for key, value in given.items() if value is not None}
        if team is not None:
            values["team"] = check_text("team", team) or None
        if values:
            conn.execute(update(tables.watchlists).where(_LIST.name == name), values)
            note_change(conn)
        if radius is not None:
            frame = targets_of(conn, name, before)
            words = f"radius {radius:g} arcsec"
            delta = changed(frame.clear())
            _write(conn, name, frame, before, radius=check_radius(radius), words=words, who=who, delta=delta)
    return get(store, name)


def remove(store: Store, name: str) -> None:
    """Take a list away with all its versions; filters that ask for it find null from then on."""
    with transaction(store) as conn:
        _held(conn, name)
        conn.execute(delete(tables.watchlist_versions).where(_VERSION.name == name))
        conn.execute(delete(tables.watchlists).where(_LIST.name == name))
        note_change(conn)


def _held(conn: Connection, name: str) -> Row[Any]:
    """The newest version, which nobody else can follow with another before the transaction ends."""
    conn.execute(select(_LIST.name).where(_LIST.name == name).with_for_update())
    return newest(conn, name)


def _write(
    conn: Connection,
    name: str,
    frame: pl.DataFrame,
    before: Row[Any] | None,
    *,
    radius: float,
    words: str,
    who: str | None,
    delta: pl.DataFrame | None = None,
) -> None:
    """Make a version, unless nothing would be new in it."""
    digest = digest_of(frame, radius)
    if before is not None and before.digest == digest:
        return
    version = 1 if before is None else before.version + 1
    whole = (
        before is None
        or delta is None
        or frame.height <= FEW
        or version - before.base > LONGEST
        or 4 * delta.height > frame.height
    )
    row = {
        "name": name,
        "version": version,
        "created": now(),
        "who": who,
        "change": words,
        "targets": frame.height,
        "radius": radius,
        "digest": digest,
        "base": version if whole or before is None else before.base,
        "data": pack(frame if whole or delta is None else delta),
    }
    conn.execute(insert(tables.watchlist_versions), row)
    note_change(conn)
