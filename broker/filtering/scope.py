"""What the names in an expression stand for, and how its operands are made to agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl
from sqlglot import exp

from broker.alert import COMMON, SKYMAPS_DTYPE
from broker.filtering import values
from broker.filtering.parse import fail, meant, near, shortened
from broker.filtering.values import NUMBERS, Kind, Value

__all__ = ["DTypes", "Operand", "Scope", "agree", "instant", "spell"]

DTypes = Mapping[str, pl.DataType | type[pl.DataType]]
Operand = tuple[exp.Expr, Value]
"""A part of the tree and what it is worth."""

DEAR = "functions of the sky and of sky maps, patterns, || and long CASEs"
"""What costs more than an operator."""
MAX_COST = 2_000
"""Most that calls and patterns may cost, in operators."""

_ALWAYS: DTypes = {**COMMON, "skymaps": SKYMAPS_DTYPE}


@dataclass(frozen=True, slots=True)
class Scope:
    """What the names in an expression stand for.

    Parameters
    ----------
    text
        The expression, for places in errors.
    columns
        Types by name; ``None`` takes any name, its type unknown.
    lenient
        A name that is not among `columns` is null instead of an error.
    used
        Names met so far.
    shared
        Where to put what many expressions have in common, by column name, to be made once before them; with ``None`` each
        expression stands alone.
    spent
        What its calls and patterns have cost so far, in operators.
    """

    text: str
    columns: DTypes | None = None
    lenient: bool = False
    used: set[str] = field(default_factory=set)
    shared: dict[str, pl.Expr] | None = None
    spent: list[int] = field(default_factory=list)

    def spend(self, cost: int, node: exp.Expr) -> None:
        """Count what takes longer than an operator; an expression that costs too much is refused, lest others wait for it."""
        if cost <= 1:
            return
        self.spent.append(cost)
        if sum(self.spent) > MAX_COST:
            fail(
                f"too much work for one filter, which others would wait for: {DEAR} count as many operators, and no more than "
                f"{MAX_COST} are taken; use fewer of them, or split the filter",
                node,
                self.text,
            )

    def column(self, name: str, node: exp.Expr) -> Value:
        """The column of that name."""
        if name.startswith("_"):
            fail(f"{shortened(name)} is private to the broker", node, self.text)
        self.used.add(name)
        dtype = (_ALWAYS if self.columns is None else self.columns).get(name)
        if dtype is not None:
            kind, column = values.kind_of(dtype), pl.col(name)
            return Value(self.share(name, column.fill_nan(None)) if dtype.is_float() else column, kind)
        if self.columns is None:
            return Value(pl.col(name), "any")
        if self.lenient:
            return values.null()
        like = near(name, self.columns)
        if _in_double_quotes(node) and "." not in name:  # as other languages write text
            fail(f"no column is called {shortened(name)}: text is in single quotes, '{name[:60]}'", node, self.text, near=like)
        return fail(f"unknown column {shortened(name)}{meant(like)}", node, self.text, near=like)

    def share(self, name: str, expr: pl.Expr) -> pl.Expr:
        """`expr`, or the column that will hold it."""
        if self.shared is None:
            return expr
        self.shared[name] = expr
        return pl.col(name)


def instant(node: exp.Expr, scope: Scope) -> Value:
    """A date or time written as text."""
    moment = values.instant(node.name)
    if moment is None:
        fail(f"not a time: {node.name[:40]!r}; write '2026-01-31' or '2026-01-31T12:00:00Z'", node, scope.text)
    return Value(moment, "time")


def agree(node: exp.Expr, scope: Scope, *operands: Operand) -> tuple[list[Value], Kind]:
    """Operands made comparable: dates written as text become times, truth values beside numbers become 0 and 1."""
    kinds = {value.kind for _, value in operands} - {"null", "any"}
    settled = [value for _, value in operands]
    if kinds == {"time", "string"}:
        settled = [instant(part, scope) if value.literal is not None else value for part, value in operands]
    elif "boolean" in kinds and kinds <= NUMBERS | {"boolean"} and len(kinds) > 1:
        settled = [Value(value.expr.cast(pl.Int64), "integer") if value.kind == "boolean" else value for value in settled]
    kinds = {value.kind for value in settled} - {"null", "any"}
    if "list" in kinds:
        fail("a list cannot be compared: for sky maps use in_skymap or skymap_level", node, scope.text)
    if kinds == NUMBERS:
        return settled, "number"
    if len(kinds) > 1:
        told = " with ".join(f"{spell(part)} ({values.words(value.kind)})" for part, value in operands[:4])
        fail(f"kinds do not go together: {told}", node, scope.text)
    nothing = all(value.kind == "null" for value in settled)
    return settled, kinds.pop() if kinds else "null" if nothing else "any"


def spell(node: exp.Expr) -> str:
    """A part of the tree as SQL, shortened."""
    text: str = node.sql()
    return text if len(text) <= 40 else text[:37] + "..."


def _in_double_quotes(node: exp.Expr) -> bool:
    return isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier) and bool(node.this.args.get("quoted"))
