"""Sums, products and joined texts, of operands already compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl
from sqlglot import exp

from broker.filtering.parse import fail
from broker.filtering.scope import Operand, Scope, agree, instant, spell
from broker.filtering.values import NUMBERS, Kind, Value, finite, number, words

__all__ = ["ARITHMETIC"]

_JOIN = 300
"""Operators that || counts as: it makes texts longer, and those are what memory could run out of."""


def _add(node: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    kinds = tuple(value.kind for _, value in operands)
    subtract = isinstance(node, exp.Sub)
    if "duration" in kinds or kinds == ("time", "time") or (subtract and set(kinds) == {"time", "string"}):
        return _shift(node, scope, operands, subtract=subtract)
    left, right = (_numeric(part, value, scope) for part, value in operands)
    return Value(left - right if subtract else left + right, "number")


def _shift(node: exp.Expr, scope: Scope, operands: Sequence[Operand], *, subtract: bool) -> Value:
    (left, right) = (
        instant(part, scope) if value.kind == "string" and value.literal is not None else value for part, value in operands
    )
    results: dict[tuple[Kind, Kind, bool], Kind] = {
        ("time", "duration", False): "time",
        ("time", "duration", True): "time",
        ("duration", "time", False): "time",
        ("duration", "duration", False): "duration",
        ("duration", "duration", True): "duration",
        ("time", "time", True): "duration",
    }
    kind = results.get((left.kind, right.kind, subtract))
    if kind is None:
        fail("times take intervals added or taken away, and one time taken from another", node, scope.text)
    return Value(left.expr - right.expr if subtract else left.expr + right.expr, kind)


def _numeric(node: exp.Expr, value: Value, scope: Scope) -> pl.Expr:
    if value.kind not in NUMBERS | {"null", "any"}:
        fail(f"arithmetic takes numbers; {spell(node)} is {words(value.kind)}", node, scope.text)
    return number(value)


def _multiply(_: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    left, right = (_numeric(part, value, scope) for part, value in operands)
    return Value(left * right, "number")


def _divide(_: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    left, right = (_numeric(part, value, scope) for part, value in operands)
    return Value(finite(left / right), "number")


def _modulo(_: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    left, right = (_numeric(part, value, scope) for part, value in operands)
    if all(value.kind == "integer" for _, value in operands):  # 64-bit ids do not survive as floats
        left, right = (value.expr.cast(pl.Int64) for _, value in operands)
        rest = left.abs() % pl.when(right != 0).then(right.abs())
    else:
        rest = finite(left.abs() % right.abs())
    return Value(left.sign() * rest, "integer" if all(value.kind == "integer" for _, value in operands) else "number")


def _negate(_: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    ((part, value),) = operands
    if value.kind == "integer" and isinstance(value.literal, int):
        return Value(pl.lit(-value.literal, dtype=pl.Int64), "integer", -value.literal)
    literal = -value.literal if isinstance(value.literal, float) else None
    return Value(-_numeric(part, value, scope), "number", literal)


def _concatenate(node: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    (left, right), kind = agree(node, scope, *operands)
    if kind not in {"string", "any", "null"}:
        fail("|| joins texts", node, scope.text)
    scope.spend(_JOIN, node)
    return Value(left.expr.cast(pl.String) + right.expr.cast(pl.String), "string")


ARITHMETIC: Mapping[type[exp.Expr], Callable[[exp.Expr, Scope, Sequence[Operand]], Value]] = {
    exp.Add: _add,
    exp.Sub: _add,
    exp.Mul: _multiply,
    exp.Div: _divide,
    exp.Mod: _modulo,
    exp.Neg: _negate,
    exp.DPipe: _concatenate,
}
"""By operator, the value of its operands."""
