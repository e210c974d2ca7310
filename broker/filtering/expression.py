"""Filter expressions: SQL conditions over an alert's columns, compiled to Polars.

NULL is handled as in SQL: a comparison with it is unknown, and what is unknown does not match. Division by zero, the root or
logarithm of a negative number and NaN are null. ``/`` does not truncate; sums and products are made in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from broker.errors import ExpressionError
from broker.filtering.compile import compile_node
from broker.filtering.growth import check_growth
from broker.filtering.logic import all_of
from broker.filtering.parse import Parsed, fail, parse
from broker.filtering.scope import DTypes, Scope
from broker.filtering.values import Value, words

__all__ = ["Clause", "Expression", "Output", "compile_expression", "compile_output"]


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the conditions that an expression joins by AND at its top.

    Parameters
    ----------
    text
        As written.
    expr
        Boolean, null where unknown.
    """

    text: str
    expr: pl.Expr


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled filter expression.

    Parameters
    ----------
    text
        As written.
    expr
        Boolean, never null: what is unknown is false.
    columns
        Names it reads.
    clauses
        Its top-level AND-clauses, in order.
    """

    text: str
    expr: pl.Expr
    columns: frozenset[str]
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """A compiled value, for what a filter sends along: to be evaluated by a lazy frame, beside a column of full height."""

    expr: pl.Expr
    columns: frozenset[str]


def compile_expression(
    sql: str | Parsed,
    columns: DTypes | None = None,
    *,
    lenient: bool = False,
    shared: dict[str, pl.Expr] | None = None,
) -> Expression:
    """Compile a SQL condition.

    Parameters
    ----------
    sql
        The condition, or what `broker.filtering.parse.parse` made of it.
    columns
        Types of the columns there are, by dotted name: other names are refused, and so are comparisons of text with
        numbers. ``None`` takes any name; only the common columns then have a known type.
    lenient
        Names that are not in `columns` are null instead of refused.
    shared
        Takes what many expressions have in common: columns to be made, or made again, before any of them is evaluated, which
        then has to be done by a lazy frame.

    Raises
    ------
    ExpressionError
        With the line and column of the offending word.

    Examples
    --------
    >>> expression = compile_expression("mag < 19 AND candidate.rb > 0.5")
    >>> sorted(expression.columns)
    ['candidate.rb', 'mag']
    >>> [clause.text for clause in expression.clauses]
    ['mag < 19', 'candidate.rb > 0.5']
    """
    parsed = parse(sql) if isinstance(sql, str) else sql
    check_growth(parsed)
    scope = Scope(parsed.text, columns, lenient, shared=shared)
    clauses: list[Clause] = []
    conditions: list[Value] = []
    try:
        for text, tree in parsed.clauses:
            value = compile_node(tree, scope)
            if value.kind not in {"boolean", "null", "any"}:
                fail(f"{text[:60]} is {words(value.kind)}, not a condition: compare it with something", tree, parsed.text)
            conditions.append(value)
            clauses.append(Clause(text, _of_every_row(value)))
    except RecursionError as error:
        raise ExpressionError("the expression is nested too deep: split the filter") from error
    joined = all_of(conditions)
    whole = (_of_every_row(joined) if shared is None else joined.expr.cast(pl.Boolean)).fill_null(value=False)
    return Expression(parsed.text, whole, frozenset(scope.used), tuple(clauses))


def _of_every_row(condition: Value) -> pl.Expr:
    """Condition with a value for each row; of ``0 = coalesce(x, 0)`` Polars 2.1 makes one in all where x is null throughout."""
    if condition.kind == "null":
        return pl.repeat(None, pl.len(), dtype=pl.Boolean)
    return pl.repeat(value=True, n=pl.len()) & condition.expr


def compile_output(sql: str, columns: DTypes | None = None, *, lenient: bool = False) -> Output:
    """Compile a SQL value such as ``skymap_level()`` or ``candidate.magpsf - candidate.magnr``.

    Raises
    ------
    ExpressionError
        As `compile_expression`.
    """
    parsed = parse(sql)
    scope = Scope(parsed.text, columns, lenient)
    check_growth(parsed)
    if len(parsed.clauses) == 1:
        value = compile_node(parsed.clauses[0][1], scope)
        return Output(value.expr, frozenset(scope.used))
    return Output(compile_expression(parsed, columns, lenient=lenient).expr, compile_expression(parsed).columns)
