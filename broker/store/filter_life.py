"""From an idea to a live filter: drafts, their test, going live, retiring."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from broker.errors import FilterError
from broker.filtering.definition import FilterSpec, parse_filter
from broker.filtering.examples import run_examples
from broker.filtering.versions import digest, name_of, numbered
from broker.store import filters
from broker.store.engine import Store
from broker.store.filters import PUBLIC, FilterVersion, Ownership

__all__ = ["LOCAL", "Gate", "add", "enter", "examine", "go_live", "put_live", "retire"]

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
    newest = max((one.version for one in filters.of(conn, name)), default=0)
    number = max(number, newest + 1)
    kept = filters.put(conn, name, numbered(text, number, source), said, who, version=number, base=base, owned=owned)
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
    if filters.get(store, name, version).state == filters.LIVE:
        return filters.get(store, name, version)
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
