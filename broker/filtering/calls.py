"""Calls of functions, of arguments already compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from sqlglot import exp

from broker.filtering import skyfunctions as sky
from broker.filtering import values
from broker.filtering.functions import FUNCTIONS, NOT_FUNCTIONS
from broker.filtering.parse import fail, nearest
from broker.filtering.scope import Operand, Scope, agree, instant, spell
from broker.filtering.signature import Function, Parameter
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
        remedy = f": {NOT_FUNCTIONS[name]}" if name in NOT_FUNCTIONS else nearest(name, sorted(FUNCTIONS))
        return fail(f"unknown function {name!r}{remedy}", node, scope.text)
    parameters = _signature(name, function, len(operands), node, scope)
    args = [
        _argument(name, parameter, part, value, scope) for parameter, (part, value) in zip(parameters, operands, strict=True)
    ]
    result = function.result
    if result is None:
        args, result = agree(node, scope, *((part, value) for (part, _), value in zip(operands, args, strict=True)))
    if result == "null" or (function.result is not None and any(arg.kind == "null" for arg in args)):
        return values.null()
    here = {column: scope.column(column, node) for column in function.columns if not _given(function, column, len(args))}
    if any(value.kind == "null" for value in here.values()):
        return values.null()
    try:
        return Value(function.make(args, lambda column: _needed(column, here, scope)), result)
    except (ValueError, OverflowError) as error:
        return fail(f"{name}: {error}", node, scope.text)


def _needed(column: str, here: Mapping[str, Value], scope: Scope) -> pl.Expr:
    if column in here:
        return here[column].expr
    axes = dict(zip(("_x", "_y", "_z"), sky.vector(here["ra"].expr, here["dec"].expr), strict=True))
    return scope.share(column, axes[column].fill_nan(None))


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
