"""AND and OR in SQL's three values.

A condition known to be null is folded away here: Polars 2.1 gives a single row for some ``null & column``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_, or_

import polars as pl

from broker.filtering.values import Value, null

__all__ = ["all_of", "any_of"]


def all_of(conditions: Sequence[Value]) -> Value:
    """Conditions joined by AND."""
    known = [value.expr for value in conditions if value.kind != "null"]
    if not known:
        return null()
    joined = _balanced(known, disjunction=False)
    if len(known) == len(conditions):
        return Value(joined, "boolean")
    return Value(pl.when(~joined).then(pl.lit(value=False)), "boolean")


def any_of(conditions: Sequence[Value]) -> Value:
    """Conditions joined by OR."""
    known = [value.expr for value in conditions if value.kind != "null"]
    if not known:
        return null()
    joined = _balanced(known, disjunction=True)
    if len(known) == len(conditions):
        return Value(joined, "boolean")
    return Value(pl.when(joined).then(pl.lit(value=True)), "boolean")


def _balanced(exprs: Sequence[pl.Expr], *, disjunction: bool) -> pl.Expr:
    """A tree of pairs, so that a long chain stays shallow."""
    join = or_ if disjunction else and_
    while len(exprs) > 1:
        exprs = [reduce(join, exprs[start : start + 2]) for start in range(0, len(exprs), 2)]
    return exprs[0]
