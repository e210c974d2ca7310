"""A filter's Polars expression as a program for `broker.filtering.machine_kernel`.

Read is what Polars writes of an expression (`Expr.meta.serialize`), so that there is one compiler of the language, the one that
makes Polars expressions, and they alone say what a filter means. A node that is not known is left to Polars, which makes a
column of it; so is everything, should Polars come to write its trees otherwise.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from broker.filtering import machine_kernel as k
from broker.filtering.machine_parts import Code, Untranslated, column
from broker.filtering.machine_tree import UNKNOWN, Tree

__all__ = ["Clause", "Program", "is_plain", "is_quiet", "translate"]

_MOST_TEXT = 400_000  # characters of a tree; a longer one is left to Polars
_FALSE = {"Literal": {"Scalar": {"Boolean": False}}}
_NULL = {"Literal": {"Scalar": {"Null": "Null"}}}


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the conditions joined by AND at the top of a filter.

    Parameters
    ----------
    made
        Columns Polars has to make first, of `Program.made`.
    """

    code: Code
    cost: int
    made: frozenset[str]


@dataclass(frozen=True, slots=True)
class Program:
    """A filter.

    Parameters
    ----------
    clauses
        All must be true; cheap ones first.
    made
        Columns for Polars to make, by name.
    never
        Whether it can pick nothing, whatever the alert.
    """

    clauses: tuple[Clause, ...]
    made: Mapping[str, pl.Expr]
    never: bool = False


def translate(expr: pl.Expr, schema: Mapping[str, pl.DataType], quiet: frozenset[str]) -> Program:
    """Program of a condition that is never null.

    Parameters
    ----------
    schema, quiet
        Types of the columns it can read; names of those in which NaN cannot be, but for null.
    """
    tree = Tree(schema, quiet, pl.LazyFrame(schema=dict(schema)))
    clauses: list[Clause] = []
    known: list[Any] = []
    try:
        known = _clauses(json.loads(_written(expr)))
    except (RecursionError, pl.exceptions.PolarsError, *UNKNOWN):
        return Program((_whole(tree, expr),), tree.made)
    for node in known:
        try:
            part = tree.part(node)
            if part.written:
                if part.value is True:
                    continue
                return Program((), {}, never=True)
            if part.kind != "b" or part.depth > k.DEPTH:
                part = tree.made_column(node)
        except (Untranslated, RecursionError):
            clauses.append(_whole(tree, expr))
        else:
            clauses.append(Clause(part.whole or (*part.code, k.KEEP), part.cost, part.made))
    used = frozenset[str]().union(*(clause.made for clause in clauses))
    ordered = tuple(sorted(clauses, key=lambda clause: (len(clause.made), clause.cost)))
    return Program(ordered, {name: made for name, made in tree.made.items() if name in used})


def is_quiet(expr: pl.Expr) -> bool:
    """Whether NaN cannot be what the expression is worth."""
    return _not_nan(expr) is not None


def is_plain(name: str, expr: pl.Expr) -> bool:
    """Whether the expression is a column of that name, but for NaN, which is null."""
    return bool(_not_nan(expr) == {"Column": name})


def _not_nan(expr: pl.Expr) -> Any:
    """What the expression is where that is not NaN; ``None`` if it is nothing of the kind."""
    try:
        ternary = json.loads(_written(expr))["Ternary"]
        test, inner = ternary["predicate"]["BinaryExpr"], ternary["truthy"]
    except (RecursionError, pl.exceptions.PolarsError, *UNKNOWN):
        return None
    tests = [{"Function": {"input": [inner], "function": {"Boolean": name}}} for name in ("IsNotNan", "IsNull")]
    is_it = test == {"left": tests[0], "op": "Or", "right": tests[1]} and ternary["falsy"] == _NULL
    return inner if is_it else None


def _whole(tree: Tree, expr: pl.Expr) -> Clause:
    """The filter itself as a column that Polars makes."""
    name = f"\0whole {id(expr)}"
    tree.made[name] = expr
    part = column(name, "b", quiet=False, made=True)
    return Clause(part.whole, part.cost, part.made)


def _written(expr: pl.Expr) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = expr.meta.serialize(format="json")
    if len(text) > _MOST_TEXT:
        raise Untranslated
    return text


def _clauses(node: Any) -> list[Any]:
    """What must be true for all to be; a null at the top is as good as false."""
    match node:
        case {"Function": {"input": [inner, {"Literal": {"Scalar": {"Boolean": False}}}], "function": "FillNull"}}:
            return _clauses(inner)
        case {"Cast": {"expr": inner, "dtype": {"Literal": "Boolean"}}}:
            return _clauses(inner)
        case {"BinaryExpr": {"left": left, "op": "And", "right": right}}:
            return [*_clauses(left), *_clauses(right)]
        case {
            "Ternary": {"truthy": {"Literal": {"Scalar": {"Boolean": False}}}, "falsy": {"Literal": {"Scalar": {"Null": _}}}}
        }:
            return [_FALSE]  # what is joined by AND with a null
    return [node]
