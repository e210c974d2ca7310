"""All filters over one frame.

`evaluate` has Polars evaluate each condition: what a filter means is defined by that. `pick` gives the same rows at a cost that
hardly grows with the number of filters: Polars takes some half a millisecond a condition to plan, batch by batch.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from broker.errors import ExpressionError
from broker.filtering.definition import FilterSpec
from broker.filtering.expression import compile_expression
from broker.filtering.machine import Machine, Rows, load, make
from broker.filtering.machine_program import Program, Shared, shared_column, translate, untranslated
from broker.filtering.scope import DTypes

__all__ = ["Condition", "Plan", "evaluate", "make_plan", "pick"]

Fault = Callable[[str, str], None]
"""Told the filter's name and what went wrong."""

_MOST_KEPT = 20_000
_FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True)
class Condition:
    """A filter compiled for frames of certain types.

    Parameters
    ----------
    expr
        Boolean, never null.
    shared
        Columns to make first.
    types
        Of the columns it reads.
    """

    expr: pl.Expr
    shared: Mapping[str, pl.Expr]
    types: Mapping[str, pl.DataType]

    @cached_property
    def program(self) -> Program:
        """What the machine runs."""
        frame = pl.LazyFrame(schema=dict(self.types))
        try:
            types = frame.with_columns(expr.alias(name) for name, expr in self.shared.items()).collect_schema()
        except _FAULTS:
            return untranslated(self.expr)
        quiet = frozenset(name for name, each in self.known.items() if each.quiet)
        late = frozenset(name for name, each in self.known.items() if not each.cheap)
        return translate(self.expr, types, quiet, late)

    @cached_property
    def known(self) -> Mapping[str, Shared]:
        """What the shared columns are."""
        return {name: _shared_column(name, expr, self.types) for name, expr in self.shared.items()}


@dataclass(frozen=True)
class Plan:
    """Filters compiled for frames of one schema.

    Parameters
    ----------
    conditions
        By filter name.
    faults
        What is wrong, by name, with filters that this schema does not suit.
    suspects
        Filters that have failed while `evaluate` ran: from then on they run alone.
    """

    conditions: Mapping[str, Condition]
    faults: Mapping[str, str]
    suspects: set[str] = field(default_factory=set)

    @cached_property
    def shared(self) -> Mapping[str, pl.Expr]:
        """Columns to make first: what the conditions have in common."""
        return {name: expr for each in self.conditions.values() for name, expr in each.shared.items()}

    @cached_property
    def machine(self) -> Machine:
        """All of them, ready to run."""
        known = {name: each for condition in self.conditions.values() for name, each in condition.known.items()}
        return load({name: each.program for name, each in self.conditions.items()}, self.shared, known)


def make_plan(filters: Sequence[FilterSpec], schema: DTypes) -> Plan:
    """Compile filters; columns that are not in `schema` are null.

    What was compiled once for the same types of the columns it reads is kept: a filter that changes costs only itself.
    """
    conditions: dict[str, Condition] = {}
    faults: dict[str, str] = {}
    for spec in filters:
        found = _compiled(spec, schema)
        if isinstance(found, Condition):
            conditions[spec.name] = found
        else:
            faults[spec.name] = found
    return Plan(conditions, faults)


_kept: OrderedDict[tuple[str, frozenset[tuple[str, pl.DataType | type[pl.DataType]]]], Condition | str] = OrderedDict()
_lock = threading.Lock()


def _compiled(spec: FilterSpec, schema: DTypes) -> Condition | str:
    """The filter, or what is wrong with it."""
    types = {name: schema[name] for name in spec.columns or schema if name in schema}
    key = (spec.parsed.text, frozenset(types.items()))
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    shared: dict[str, pl.Expr] = {}
    found: Condition | str
    try:
        expr = compile_expression(spec.parsed, types, lenient=True, shared=shared).expr
        found = Condition(expr, shared, {name: pl.Series([], dtype=dtype).dtype for name, dtype in types.items()})
    except ExpressionError as error:
        found = str(error)
    with _lock:
        _kept[key] = found
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return found


_shared: dict[tuple[str, frozenset[tuple[str, pl.DataType]]], Shared] = {}


def _shared_column(name: str, expr: pl.Expr, types: Mapping[str, pl.DataType]) -> Shared:
    """As `shared_column`; a shared column's name says what it is, given the types of what it reads."""
    key = name, frozenset((root, types[root]) for root in expr.meta.root_names() if root in types)
    if key not in _shared:
        if len(_shared) > _MOST_KEPT:
            _shared.clear()
        _shared[key] = shared_column(name, expr, types)
    return _shared[key]


def pick(plan: Plan, frame: pl.DataFrame, fault: Fault) -> dict[str, Rows]:
    """Numbers of the rows that each filter picks, of filters that pick any; one that fails is left out and told to `fault`."""
    try:
        picked = plan.machine.rows(frame, fault)
    except _FAULTS:  # a column of all of them that cannot be made: filter by filter, those that need it will say so
        return {
            name: mask.arg_true().to_numpy().astype(np.int64)
            for name, mask in evaluate(plan, frame, fault).items()
            if mask.any()
        }
    for name, message in plan.faults.items():
        fault(name, message)
    return picked


def evaluate(plan: Plan, frame: pl.DataFrame, fault: Fault) -> dict[str, pl.Series]:
    """Boolean column by filter name.

    A filter that fails is left out and told to `fault`; the others are found by halving, so that one bad filter among
    a thousand costs ten passes once and a pass of its own from then on.
    """
    for name, message in plan.faults.items():
        fault(name, message)
    frame = _with_shared(plan, frame)
    exprs = {name: condition.expr for name, condition in plan.conditions.items()}
    failed: dict[str, str] = {}
    masks = make(frame, {name: expr for name, expr in exprs.items() if name not in plan.suspects}, failed)
    for name in sorted(plan.suspects):
        masks |= make(frame, {name: exprs[name]}, failed)
    for name, message in failed.items():
        plan.suspects.add(name)
        fault(name, message)
    return masks


def _with_shared(plan: Plan, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with what conditions share; what cannot be made is left out, and those that need it will say so."""
    try:
        return frame.with_columns(expr.alias(name) for name, expr in plan.shared.items())
    except _FAULTS:
        made = []
        for name, expr in plan.shared.items():
            try:
                made.append(frame.select(expr.alias(name)).to_series())
            except _FAULTS:
                frame = frame.drop(name, strict=False)
        return frame.with_columns(made)
