"""All filters over one frame, in a single pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from broker.errors import ExpressionError
from broker.filtering.definition import FilterSpec
from broker.filtering.expression import compile_expression
from broker.filtering.scope import DTypes

__all__ = ["Plan", "evaluate", "make_plan"]

Fault = Callable[[str, str], None]
"""Told the filter's name and what went wrong."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Filters compiled for frames of one schema.

    Parameters
    ----------
    exprs
        Condition by filter name.
    shared
        Columns to make first: what the conditions have in common.
    faults
        What is wrong, by name, with filters that this schema does not suit.
    suspects
        Filters that have failed while running: from then on they run alone.
    """

    exprs: Mapping[str, pl.Expr]
    shared: Mapping[str, pl.Expr]
    faults: Mapping[str, str]
    suspects: set[str] = field(default_factory=set)


def make_plan(filters: Sequence[FilterSpec], schema: DTypes) -> Plan:
    """Compile filters; columns that are not in `schema` are null."""
    exprs: dict[str, pl.Expr] = {}
    shared: dict[str, pl.Expr] = {}
    faults: dict[str, str] = {}
    for spec in filters:
        try:
            exprs[spec.name] = compile_expression(spec.parsed, schema, lenient=True, shared=shared).expr
        except ExpressionError as error:
            faults[spec.name] = str(error)
    return Plan(exprs, shared, faults)


def evaluate(plan: Plan, frame: pl.DataFrame, fault: Fault) -> dict[str, pl.Series]:
    """Boolean column by filter name.

    A filter that fails is left out and told to `fault`; the others are found by halving, so that one bad filter among
    a thousand costs ten passes once and a pass of its own from then on.
    """
    for name, message in plan.faults.items():
        fault(name, message)
    frame = _with_shared(plan, frame)
    suspects = sorted(plan.suspects)
    names = [name for name in plan.exprs if name not in plan.suspects]
    masks = _run(plan, frame, names, fault)
    for name in suspects:
        masks |= _run(plan, frame, [name], fault)
    return masks


def _with_shared(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with what conditions share; what cannot be made is left out, and those that need it will say so."""
    try:
        return frame.with_columns(expr.alias(name) for name, expr in plan.shared.items())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        made = []
        for name, expr in plan.shared.items():
            try:
                made.append(frame.select(expr.alias(name)).to_series())
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
                frame = frame.drop(name, strict=False)
        return frame.with_columns(made)


def _run(plan: Plan, frame: pl.DataFrame, names: Sequence[str], fault: Fault) -> dict[str, pl.Series]:
    if not names:
        return {}
    try:
        # The leading count gives conditions without a column, such as TRUE, the height of the frame.
        height = pl.int_range(pl.len()).alias("")
        result = frame.lazy().select(height, *(plan.exprs[name].alias(name) for name in names)).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        if len(names) == 1:
            plan.suspects.add(names[0])
            fault(names[0], str(error).strip().splitlines()[0])
            return {}
        half = len(names) // 2
        return _run(plan, frame, names[:half], fault) | _run(plan, frame, names[half:], fault)
    return {name: result[name] for name in names}
