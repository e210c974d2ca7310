"""From an idea to a live filter: drafts, their test, going live, retiring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from broker.errors import FilterError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.filtering.examples import run_examples
from broker.filtering.versions import digest, name_of, numbered
from broker.store import filters
from broker.store.engine import Store
from broker.store.filters import PUBLIC, FilterVersion
from broker.store.lists import Ownership

__all__ = ["LOCAL", "Gate", "add", "enter", "examine", "go_live", "put_live", "retire"]

MOST_VERSION: Final = 2**31 - 1

LOCAL = "local"
"""Who acts where nobody has an account."""

Gate = Callable[[FilterSpec], None]
"""Raises `RefusedError` where a filter would pass too much."""


def add(
    store: Store, text: str, who: str, *, base: int | None = None, name: str | None = None, owned: Ownership = PUBLIC
) -> FilterVersion:
    """Keep a text as a new draft; its number is counted on where the one it has is taken.

    Parameters
    ----------
    base
        Version that was edited.
    name
        That it must have.
    owned
        Whose it is, if it is the first version.

    Raises
    ------
    FilterError
        It is wrong.
    ConflictError
        Somebody else's version came after `base`.
    """
    named, _ = name_of(text)
    if name is not None and named != name:
        raise FilterError(f"the text names the filter {named!r}, the address {name!r}: let them be the same")
    spec = parse_filter(text, number=1)
    with filters.editing(store) as conn:
        return enter(conn, text, digest(spec), who, base=base, owned=owned)[0]


def enter(
    conn: Connection,
    text: str,
    said: str,
    who: str,
    source: str = "<text>",
    *,
    base: int | None = None,
    owned: Ownership = PUBLIC,
) -> tuple[FilterVersion, int]:
    """Keep a text under the number it has, or the next free one; and that number."""
    name, number = name_of(text, source)
    there = filters.of(conn, name)
    number = max(number, max((one.version for one in there), default=0) + 1)
    if all(one.digest != said for one in there):  # else it is no new version, and needs no number
        if number > MOST_VERSION:
            raise FilterError(f"{source}: {name!r} has version {MOST_VERSION}, the last there can be: give it another name")
        text = numbered(text, number, source)
    kept = filters.put(conn, name, text, said, who, version=number, base=base, owned=owned)
    return kept, kept.version


def examine(store: Store, name: str, version: int, who: str, gate: Gate, *, force: bool = False) -> FilterVersion:
    """Try a version: its worked examples, and how much of the recent past it would have passed. It is then tested.

    Raises
    ------
    FilterError
        An example fails.
    RefusedError
        It passes too much, and `force` is not set.
    """
    one = filters.get(store, name, version)
    spec = parse_filter(one.text, f"{name} version {version}")
    wrong = run_examples(spec)
    if wrong:
        raise FilterError(f"{spec.source}: example {wrong[0].number}: {wrong[0].reason}: mend the filter or the example")
    if not force:
        gate(spec)
    if one.state in {filters.DRAFT, filters.RETIRED}:
        with filters.editing(store) as conn:
            filters.set_state(conn, name, version, filters.TESTED, who, "forced" if force else None)
    return filters.get(store, name, version)


def go_live(store: Store, name: str, version: int, who: str, gate: Gate, *, force: bool = False) -> FilterVersion:
    """Put a version in force, tested on the way; it takes over from the one that is live.

    Raises
    ------
    FilterError, RefusedError
        As `examine`.
    """
    one = filters.get(store, name, version)
    if one.state == filters.LIVE:
        return one
    if not parse_filter(one.text, f"{name} version {version}").active:
        raise FilterError(f"{name} version {version} says active = false and would pick nothing: take that out and add it anew")
    examine(store, name, version, who, gate, force=force)
    with filters.editing(store) as conn:
        filters.set_state(conn, name, version, filters.LIVE, who, "forced" if force else None)
    return filters.get(store, name, version)


def put_live(conn: Connection, version: FilterVersion, who: str) -> None:
    """Put a version in force that is right beyond doubt."""
    if version.state != filters.LIVE:
        filters.set_state(conn, version.name, version.version, filters.TESTED, who)
        filters.set_state(conn, version.name, version.version, filters.LIVE, who)


def retire(store: Store, name: str, version: int, who: str) -> FilterVersion:
    """Take a version out of force, or put a draft aside."""
    with filters.editing(store) as conn:
        filters.set_state(conn, name, version, filters.RETIRED, who)
    return filters.get(store, name, version)
