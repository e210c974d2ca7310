"""What a part of an expression is worth: a Polars expression and its kind, and how kinds go together."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import polars as pl

__all__ = ["NUMBERS", "Kind", "Value", "duration", "finite", "instant", "kind_of", "null", "number", "words", "written"]

Kind = Literal["integer", "number", "string", "boolean", "time", "duration", "list", "null", "any"]
"""``any`` is a column whose type is not known yet, ``null`` one that is nothing but null."""

NUMBERS = frozenset({"integer", "number"})

_WORDS: dict[Kind, str] = {
    "integer": "a number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "time": "a time",
    "duration": "an interval",
    "list": "a list",
    "null": "null",
    "any": "of unknown type",
}

_LARGEST = 2**63
_DIGITS = 19  # of that

_UNITS = {
    "microsecond": 1e-6,
    "millisecond": 1e-3,
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 604800.0,
}


@dataclass(frozen=True, slots=True)
class Value:
    """A part of an expression.

    Parameters
    ----------
    literal
        The Python value where it is written out, else ``None``.
    """

    expr: pl.Expr
    kind: Kind
    literal: str | int | float | None = None


def words(kind: Kind) -> str:
    """Kind as people say it."""
    return _WORDS[kind]


def null() -> Value:
    """SQL's NULL."""
    return Value(pl.lit(None), "null")


def kind_of(dtype: pl.DataType | type[pl.DataType]) -> Kind:
    """Kind of a column of that type."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    by_type: Sequence[tuple[tuple[type[pl.DataType], ...], Kind]] = (
        ((pl.String, pl.Categorical, pl.Enum), "string"),
        ((pl.Boolean,), "boolean"),
        ((pl.Datetime, pl.Date), "time"),
        ((pl.Duration,), "duration"),
        ((pl.Null,), "null"),
        ((pl.Unknown,), "any"),
    )
    return next((kind for types, kind in by_type if dtype.base_type() in types), "list")


def number(value: Value) -> pl.Expr:
    """A numeric value as Float64, so that sums and products of small integers do not wrap."""
    return value.expr if value.kind == "any" else value.expr.cast(pl.Float64)


def written(text: str) -> int | float:
    """A number as it is written: one that 64 bits do not hold is no whole number.

    Raises
    ------
    ValueError
        It is none, or larger than any that can be reckoned with.
    """
    if text.isdecimal() and len(text) <= _DIGITS and int(text) < _LARGEST:
        return int(text)
    try:
        found = float(text)
    except ValueError:
        raise ValueError(f"not a number: {text[:40]!r}") from None
    if not math.isfinite(found):
        raise ValueError(f"too large a number: {text[:40]!r}")
    return found


def finite(expr: pl.Expr) -> pl.Expr:
    """Null where a result is infinite or NaN, which Polars would take for greater than all."""
    return pl.when(expr.is_finite()).then(expr)


def instant(text: str) -> pl.Expr | None:
    """An ISO 8601 date or time, UTC unless it says otherwise; ``None`` if it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # an offset can lead out of the calendar
        return None
    return pl.lit(moment, dtype=pl.Datetime("us", "UTC"))


def duration(amount: str, unit: str) -> timedelta | None:
    """``INTERVAL '3' DAY`` or ``INTERVAL '3 days'`` as a time difference; ``None`` if it is none.

    Months and years are none: their length depends on when they begin.
    """
    match = re.fullmatch(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", amount)
    name = ((match and match[2]) or unit).lower().rstrip("s")
    if match is None or name not in _UNITS:
        return None
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[name])
    except OverflowError:
        return None
