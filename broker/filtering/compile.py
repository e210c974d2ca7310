"""Syntax tree of a filter expression to a Polars expression, with names and kinds checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl
from sqlglot import exp

from broker.filtering import values
from broker.filtering.arithmetic import ARITHMETIC
from broker.filtering.calls import call
from broker.filtering.like import like, like_fault
from broker.filtering.logic import all_of, any_of
from broker.filtering.parse import chain, fail
from broker.filtering.scope import Operand, Scope, agree, instant, spell
from broker.filtering.values import NUMBERS, Value

__all__ = ["compile_node"]

_LONGEST_TEXT = 1_000
_LIKE = 25  # operators that LIKE counts as
_CASE = 32  # branches of a CASE whose square counts as an operator: each waits for all before it

_ARGUMENTS = frozenset(
    {
        *("this", "expression", "expressions", "low", "high", "ifs", "true", "default", "unit", "to"),
        *("table", "db", "catalog", "is_string", "negate", "query", "field", "typed", "safe"),
    }
)
"""Parts of a syntax tree that are read here; one with others is refused, lest half of it be dropped in silence."""


def compile_node(node: exp.Expr, scope: Scope) -> Value:
    """What a part of the tree is worth.

    Raises
    ------
    ExpressionError
        It names what is not there, mixes kinds, or is nothing that a filter can hold.
    """
    compiler = _NODES.get(type(node))
    if compiler is None:
        what = "a subquery" if node.find(exp.Query) is not None else f"{node.key.upper()!r}"
        return fail(
            f"{what} cannot be used in a filter: it sees one alert's columns, operators and functions", node, scope.text
        )
    strange = {key for key, value in node.args.items() if value not in (None, False, [])} - _ARGUMENTS
    if strange:
        fail(f"{spell(node)} cannot be used in a filter: {min(strange)} is not understood", node, scope.text)
    value = compiler(node, scope)
    if node.args.get("negate"):  # how some releases of sqlglot write NOT LIKE
        return value if value.kind == "null" else Value(~value.expr, "boolean")
    return value


def _column(node: exp.Expr, scope: Scope) -> Value:
    return scope.column(_dotted(node, scope), node)


def _dotted(node: exp.Expr, scope: Scope) -> str:
    if isinstance(node, exp.Column):
        parts = node.parts
        if all(isinstance(part, exp.Identifier) for part in parts):
            return ".".join(part.name for part in parts)
    elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        return f"{_dotted(node.this, scope)}.{node.expression.name}"
    elif isinstance(node, exp.Bracket) and len(node.expressions) == 1:
        key = node.expressions[0]
        if isinstance(key, exp.Literal) and key.is_string:
            return f"{_dotted(node.this, scope)}.{key.name}"
    return fail("not a column: write a name such as mag or candidate.rb", node, scope.text)


def _literal(node: exp.Expr, scope: Scope) -> Value:
    if node.is_string:
        _check_length(node, scope)
        return Value(pl.lit(node.name, dtype=pl.String), "string", node.name)
    try:
        worth = values.written(node.name)
    except ValueError as error:
        return fail(str(error), node, scope.text)
    if isinstance(worth, int):
        return Value(pl.lit(worth, dtype=pl.Int64), "integer", worth)
    return Value(pl.lit(worth, dtype=pl.Float64), "number", worth)


def _boolean(node: exp.Expr, _: Scope) -> Value:
    return Value(pl.lit(bool(node.this)), "boolean")


def _interval(node: exp.Expr, scope: Scope) -> Value:
    unit = node.args.get("unit")
    amount = node.this.name if isinstance(node.this, exp.Literal) else ""
    span = values.duration(amount, unit.name if unit is not None else "")
    if span is None:
        fail("not an interval: write INTERVAL '3 days', in weeks, days, hours, minutes or seconds", node, scope.text)
    return Value(pl.lit(span), "duration")


def _cast(node: exp.Expr, scope: Scope) -> Value:
    named = isinstance(node.this, exp.Literal) and node.args["to"].this.name.startswith(("TIMESTAMP", "DATE"))
    if not named:
        fail("CAST cannot be used in a filter: numbers and texts are not turned into each other", node, scope.text)
    return instant(node.this, scope)


def _compiled(node: exp.Expr, scope: Scope, *keys: str) -> list[Operand]:
    return [(node.args[key], compile_node(node.args[key], scope)) for key in keys]


def _arithmetic(node: exp.Expr, scope: Scope) -> Value:
    keys = ("this",) if isinstance(node, exp.Unary) else ("this", "expression")
    return ARITHMETIC[type(node)](node, scope, _compiled(node, scope, *keys))


def _call(node: exp.Expr, scope: Scope) -> Value:
    return call(node, scope, [(part, compile_node(part, scope)) for part in node.expressions])


def _compare(
    join: Callable[[pl.Expr, pl.Expr], pl.Expr], mirrored: Callable[[pl.Expr, pl.Expr], pl.Expr]
) -> Callable[[exp.Expr, Scope], Value]:
    def compiler(node: exp.Expr, scope: Scope) -> Value:
        (left, right), _ = agree(node, scope, *_compiled(node, scope, "this", "expression"))
        if "null" in (left.kind, right.kind):
            return values.null()
        if left.expr.meta.is_literal():  # of "0 = CASE ..." over nulls alone Polars 2.1 makes one row, of "CASE ... = 0" all
            return Value(mirrored(right.expr, left.expr), "boolean")
        return Value(join(left.expr, right.expr), "boolean")

    return compiler


def _null_safe(node: exp.Expr, scope: Scope) -> Value:
    (left, right), _ = agree(node, scope, *_compiled(node, scope, "this", "expression"))
    return Value(left.expr.eq_missing(right.expr), "boolean")


def _truth(node: exp.Expr, scope: Scope) -> Value:
    value = compile_node(node, scope)
    if value.kind not in {"boolean", "null", "any"}:
        fail(f"{spell(node)} is {values.words(value.kind)}, not a condition: compare it with something", node, scope.text)
    return value


def _and(node: exp.Expr, scope: Scope) -> Value:
    return all_of([_truth(operand, scope) for operand in chain(node, exp.And)])


def _or(node: exp.Expr, scope: Scope) -> Value:
    return any_of([_truth(operand, scope) for operand in chain(node, exp.Or)])


def _not(node: exp.Expr, scope: Scope) -> Value:
    truth = _truth(node.this, scope)
    return truth if truth.kind == "null" else Value(~truth.expr, "boolean")


def _is(node: exp.Expr, scope: Scope) -> Value:
    right = node.expression
    if isinstance(right, exp.Null):
        return Value(compile_node(node.this, scope).expr.is_null(), "boolean")
    if isinstance(right, exp.Boolean):
        truth = _truth(node.this, scope)
        if truth.kind == "null":
            return Value(pl.lit(value=False), "boolean")
        return Value((truth.expr if right.this else ~truth.expr).fill_null(value=False), "boolean")
    return fail("IS takes NULL, NOT NULL, TRUE or FALSE; compare with =", node, scope.text)


def _between(node: exp.Expr, scope: Scope) -> Value:
    (value, low, high), _ = agree(node, scope, *_compiled(node, scope, "this", "low", "high"))
    if value.kind == "null":
        return values.null()
    above = values.null() if low.kind == "null" else Value(value.expr >= low.expr, "boolean")
    below = values.null() if high.kind == "null" else Value(value.expr <= high.expr, "boolean")
    return all_of([above, below])


def _in(node: exp.Expr, scope: Scope) -> Value:
    if node.args.get("query") is not None or node.args.get("field") is not None or not node.expressions:
        fail("IN takes a list of values in brackets", node, scope.text)
    value = compile_node(node.this, scope)
    texts, numbers = _written(node.expressions, scope)
    if texts is not None and value.kind in {"string", "any"}:
        return Value(value.expr.is_in(texts), "boolean")
    if numbers is not None and value.kind in NUMBERS | {"any"}:
        whole = value.kind != "number" and all(isinstance(each, int) for each in numbers)
        among = value.expr.is_in(numbers) if whole else values.number(value).is_in([float(each) for each in numbers])
        return Value(among, "boolean")
    operands = [(part, compile_node(part, scope)) for part in node.expressions]
    (value, *listed), _ = agree(node, scope, (node.this, value), *operands)
    if value.kind == "null":
        return values.null()
    known = [entry for entry in listed if entry.kind != "null"]
    scope.spend(len(known), node)
    found = [Value(value.expr == entry.expr, "boolean") for entry in known]
    return any_of(found if len(known) == len(listed) else [*found, values.null()])


def _written(parts: list[exp.Expr], scope: Scope) -> tuple[list[str] | None, list[int] | list[float] | None]:
    """Texts, or numbers, that are all there is in a list: there can be thousands, and each as an expression would take long."""
    if all(isinstance(part, exp.Literal) and part.is_string for part in parts):
        for part in parts:
            _check_length(part, scope)
        return [part.name for part in parts], None
    if all(isinstance(part, exp.Literal) and not part.is_string for part in parts):
        try:
            found = [values.written(part.name) for part in parts]
        except ValueError:
            return None, None
        return None, found if all(isinstance(each, int) for each in found) else [float(each) for each in found]
    return None, None


def _check_length(node: exp.Expr, scope: Scope) -> None:
    if len(node.name) > _LONGEST_TEXT:
        fail(f"the text is {len(node.name)} characters long; at most {_LONGEST_TEXT} are taken", node, scope.text)


def _like(node: exp.Expr, scope: Scope) -> Value:
    escape = ""
    if isinstance(node, exp.Escape):
        escape, node = node.expression.name, node.this
        if len(escape) != 1 or not isinstance(node, exp.Like | exp.ILike):
            fail("ESCAPE goes with LIKE and takes one character", node, scope.text)
    value, pattern = compile_node(node.this, scope), node.expression
    if value.kind not in {"string", "any", "null"}:
        fail(f"LIKE compares texts; {spell(node.this)} is {values.words(value.kind)}", node, scope.text)
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        fail("the pattern of LIKE must be written out", node, scope.text)
    fault = like_fault(pattern.name, escape, ignore_case=isinstance(node, exp.ILike))
    if fault:
        fail(fault, pattern, scope.text)
    scope.spend(_LIKE, node)
    if value.kind == "null":
        return values.null()
    return Value(like(value.expr, pattern.name, escape, ignore_case=isinstance(node, exp.ILike)), "boolean")


def _case(node: exp.Expr, scope: Scope) -> Value:
    branches = node.args["ifs"]
    scope.spend(len(branches) ** 2 // _CASE, node)
    default = node.args.get("default")
    operand = node.args.get("this")
    tests = [_truth(exp.EQ(this=operand, expression=b.this) if operand is not None else b.this, scope) for b in branches]
    parts = [b.args["true"] for b in branches] + ([default] if default is not None else [])
    results, kind = agree(node, scope, *((part, compile_node(part, scope)) for part in parts))
    if kind == "null":
        return values.null()
    value = results[len(tests)].expr if default is not None else pl.lit(None)
    for test, result in zip(reversed(tests), reversed(results[: len(tests)]), strict=True):
        if test.kind != "null":
            value = pl.when(test.expr).then(result.expr).otherwise(value)
    return Value(value, kind)


_NODES: Mapping[type[exp.Expr], Callable[[exp.Expr, Scope], Value]] = {
    exp.Column: _column,
    exp.Dot: _column,
    exp.Bracket: _column,
    exp.Literal: _literal,
    exp.Boolean: _boolean,
    exp.Null: lambda _, __: values.null(),
    exp.Paren: lambda node, scope: compile_node(node.this, scope),
    exp.Interval: _interval,
    exp.Cast: _cast,
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    exp.EQ: _compare(lambda a, b: a == b, lambda a, b: a == b),
    exp.NEQ: _compare(lambda a, b: a != b, lambda a, b: a != b),
    exp.GT: _compare(lambda a, b: a > b, lambda a, b: a < b),
    exp.GTE: _compare(lambda a, b: a >= b, lambda a, b: a <= b),
    exp.LT: _compare(lambda a, b: a < b, lambda a, b: a > b),
    exp.LTE: _compare(lambda a, b: a <= b, lambda a, b: a >= b),
    exp.NullSafeEQ: _null_safe,
    exp.Is: _is,
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Escape: _like,
    **dict.fromkeys(ARITHMETIC, _arithmetic),
    exp.Case: _case,
    exp.Anonymous: _call,
}
