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

__all__ = ["Clause", "Program", "Shared", "shared_column", "translate", "untranslated"]

_MOST_TEXT = 4_000_000  # characters of a tree; a longer one is left to Polars
_FALSE = {"Literal": {"Scalar": {"Boolean": False}}}
_NULL = {"Literal": {"Scalar": {"Null": "Null"}}}


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the conditions joined by AND at the top of a filter.

    Parameters
    ----------
    made
        Columns Polars has to make first: of `Program.made`, or late ones.
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


def translate(
    expr: pl.Expr, schema: Mapping[str, pl.DataType], quiet: frozenset[str] = frozenset(), late: frozenset[str] = frozenset()
) -> Program:
    """Program of a condition that is never null.

    Parameters
    ----------
    schema, quiet, late
        Types of the columns it can read; names of those in which NaN cannot be, but for null; of those that are to be made only
        for the rows that are left when all else has been asked.
    """
    tree = Tree(schema, quiet, late, pl.LazyFrame(schema=dict(schema)))
    clauses: list[Clause] = []
    known: list[Any] = []
    try:
        known = _clauses(json.loads(_written(expr)))
    except (RecursionError, *UNKNOWN):
        return untranslated(expr)
    for node in known:
        try:
            part = tree.part(node)
            if part.written:
                if part.value is True:
                    continue
                return Program((), {}, never=True)
            if part.kind != "b" or part.depth > k.DEPTH:
                part = tree.made_column(node)
        except (RecursionError, *UNKNOWN):
            clauses.append(_whole(tree.made, expr))
        else:
            clauses.append(Clause(part.whole or (*part.code, k.KEEP), part.cost, part.made))
    used = frozenset[str]().union(*(clause.made for clause in clauses))
    ordered = tuple(sorted(clauses, key=lambda clause: (len(clause.made), clause.cost)))
    return Program(ordered, {name: made for name, made in tree.made.items() if name in used})


def untranslated(expr: pl.Expr) -> Program:
    """Program that has Polars do it all."""
    made: dict[str, pl.Expr] = {}
    return Program((_whole(made, expr),), made)


@dataclass(frozen=True, slots=True)
class Shared:
    """What a column is that many filters share.

    Parameters
    ----------
    quiet
        Whether NaN cannot be in it.
    plain
        Whether it is the column of that name in the frame, but for NaN, which is null.
    cheap
        Whether it is no more than the machine itself could do.
    """

    quiet: bool
    plain: bool
    cheap: bool


def shared_column(name: str, expr: pl.Expr, schema: Mapping[str, pl.DataType]) -> Shared:
    """What a shared column is, given the types of the frame's columns."""
    inner = _not_nan(expr)
    if inner is None:
        return Shared(quiet=False, plain=False, cheap=False)
    if inner == {"Column": name}:
        return Shared(quiet=True, plain=True, cheap=True)
    tree = Tree(schema, frozenset(), frozenset(), pl.LazyFrame(schema=dict(schema)))
    try:
        cheap = tree.part(inner).kind == "f" and not tree.made
    except (RecursionError, *UNKNOWN):
        cheap = False
    return Shared(quiet=True, plain=False, cheap=cheap)


def _not_nan(expr: pl.Expr) -> Any:
    """What the expression is where that is not NaN; ``None`` if it is nothing of the kind."""
    try:
        ternary = json.loads(_written(expr))["Ternary"]
        test, inner = ternary["predicate"]["BinaryExpr"], ternary["truthy"]
    except (RecursionError, *UNKNOWN):
        return None
    tests = [{"Function": {"input": [inner], "function": {"Boolean": name}}} for name in ("IsNotNan", "IsNull")]
    is_it = test == {"left": tests[0], "op": "Or", "right": tests[1]} and ternary["falsy"] == _NULL
    return inner if is_it else None


def _whole(made: dict[str, pl.Expr], expr: pl.Expr) -> Clause:
    """The filter itself as a column that Polars makes."""
    name = f"\0whole {id(expr)}"
    made[name] = expr
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
