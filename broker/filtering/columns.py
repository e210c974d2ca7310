"""What is known of a stream's columns: for people, and for the check of a filter before it runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from broker.alert import SKYMAPS_DTYPE, UTC

__all__ = ["LISTS", "TYPES", "ColumnInfo", "Known", "dtypes", "type_of"]

TYPES: Final[Mapping[str, pl.DataType | type[pl.DataType]]] = {
    "text": pl.String,
    "number": pl.Float64,
    "integer": pl.Int64,
    "boolean": pl.Boolean,
    "time": UTC,
    "bytes": pl.Binary,
    "list": SKYMAPS_DTYPE,
    "unknown": pl.Unknown,
}
"""Types of columns by the name people are told."""

LISTS: Final = {"watchlist": "watchlist", "moc": "region"}
"""Prefixes of columns that lists of the users' own fill, and what those are called."""


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """A column that filters of a stream can name.

    Parameters
    ----------
    type
        One of `TYPES`.
    unit
        Empty where it has none.
    meaning
        A line for people.
    source
        Where it is from: ``common``, ``packet``, ``notice``, ``catalogue ngc``, ``sky maps``, ``light curve``, ``sky map of the
        notice``, ``watchlist`` or ``region``.
    """

    name: str
    type: str
    unit: str
    meaning: str
    source: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a stream's columns.

    Parameters
    ----------
    columns
        Those known, in the order people read them.
    whole
        Whether there are no others.
    note
        Why there can be others; empty where there cannot.
    elsewhere
        Type of columns that are null on this stream though filters of it may name them, and why, by name.
    lists
        Names of the watchlists and regions there are, by prefix of `LISTS`; ``None`` where nobody could be asked.
    """

    stream: str
    columns: tuple[ColumnInfo, ...]
    whole: bool = True
    note: str = ""
    elsewhere: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    lists: Mapping[str, Collection[str]] | None = None


def dtypes(known: Known) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Types by name, for the compiler."""
    return {name: TYPES[type_] for name, (type_, _) in known.elsewhere.items()} | {
        each.name: TYPES[each.type] for each in known.columns
    }


def type_of(dtype: pl.DataType | type[pl.DataType]) -> str:
    """What people are told of a type."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    base = dtype.base_type()
    return next((name for name, one in TYPES.items() if one.base_type() == base), "unknown")
