"""Calls of functions, of arguments already compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from sqlglot import exp

from broker.filtering import skyfunctions as sky
from broker.filtering import values
from broker.filtering.functions import FUNCTIONS, NOT_FUNCTIONS
from broker.filtering.parse import fail, meant, near, shortened
from broker.filtering.scope import Operand, Scope, agree, instant, spell
from broker.filtering.signature import Function, NotKnownError, Parameter
from broker.filtering.values import NUMBERS, Value

__all__ = ["call"]


def call(node: exp.Expr, scope: Scope, operands: Sequence[Operand]) -> Value:
    """Value of a call by name.

    Raises
    ------
    ExpressionError
        There is no such function, or its arguments are not what it takes.
    """
    name = str(node.name).lower()
    function = FUNCTIONS.get(name)
    if function is None:
        like = "" if name in NOT_FUNCTIONS else near(name, FUNCTIONS)
        remedy = f": {NOT_FUNCTIONS[name]}" if name in NOT_FUNCTIONS else meant(like)
        return fail(f"unknown function {shortened(name)}{remedy}", node, scope.text, near=like)
    parameters = _signature(name, function, len(operands), node, scope)
    args = [
        _argument(name, parameter, part, value, scope) for parameter, (part, value) in zip(parameters, operands, strict=True)
    ]
    result = function.result
    if result is None:
        args, result = agree(node, scope, *((part, value) for (part, _), value in zip(operands, args, strict=True)))
    if result == "null" or (function.result is not None and any(arg.kind == "null" for arg in args)):
        return values.null()
    scope.spend(function.cost, node)
    try:
        told = function.reads(args) if function.reads is not None else ()
        own = {column: scope.column(column, node) for column in function.columns if not _given(function, column, len(args))}
        asked = {column: scope.column(column, node) for column in told}
        nothing = [value.kind == "null" for value in asked.values()]
        if any(value.kind == "null" for value in own.values()) or (nothing and all(nothing)):
            return values.null()
        return Value(function.make(args, _Here({**own, **asked}, scope, node)), result)
    except NotKnownError as error:
        return fail(f"{name}: {error}", operands[error.place][0], scope.text, near=error.near)
    except (ValueError, OverflowError) as error:
        return fail(f"{name}: {error}", node, scope.text)


@dataclass(frozen=True, slots=True)
class _Here:
    """The columns of a call; see `broker.filtering.signature.Column`."""

    here: Mapping[str, Value]
    scope: Scope
    node: exp.Expr

    def __call__(self, name: str) -> pl.Expr:
        if name in self.here:
            return self.here[name].expr
        axes = dict(zip(("_x", "_y", "_z"), sky.vector(self.here["ra"].expr, self.here["dec"].expr), strict=True))
        return self.scope.share(name, axes[name].fill_nan(None))

    def share(self, name: str, expr: pl.Expr) -> pl.Expr:
        return self.scope.share(name, expr)

    def spend(self, cost: int) -> None:
        self.scope.spend(cost, self.node)


def _given(function: Function, column: str, count: int) -> bool:
    """Whether the call itself says what the column would."""
    return any(len(signature) == count and column in {p.name for p in signature} for signature in function.signatures)


def _signature(name: str, function: Function, count: int, node: exp.Expr, scope: Scope) -> Sequence[Parameter]:
    for signature in function.signatures:
        if len(signature) == count:
            return signature
        if function.repeats and count > len(signature):
            return (*signature, *([signature[-1]] * (count - len(signature))))
    ways = " or ".join(
        f"{name}({', '.join(p.name for p in s)}{', ...' if function.repeats else ''})" for s in function.signatures
    )
    return fail(f"{name} is called as {ways}", node, scope.text)


def _argument(name: str, parameter: Parameter, node: exp.Expr, value: Value, scope: Scope) -> Value:
    if parameter.literal and value.literal is None:
        fail(f"{parameter.name} of {name} must be written out, not taken from a column", node, scope.text)
    if parameter.kind == "time" and value.kind == "string" and value.literal is not None:
        return instant(node, scope)
    wanted = NUMBERS if parameter.kind == "number" else {parameter.kind}
    if parameter.kind != "any" and value.kind not in wanted | {"null", "any"}:
        fail(
            f"{parameter.name} of {name} is {values.words(parameter.kind)}; {spell(node)} is {values.words(value.kind)}",
            node,
            scope.text,
        )
    if value.kind == "list":
        fail(f"{name} takes no list", node, scope.text)
    return value
