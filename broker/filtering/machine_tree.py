"""The nodes of Polars' own tree of an expression as pieces of program; what is not known here Polars makes a column of."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from broker.filtering import machine_kernel as k
from broker.filtering.machine_functions import expression, function
from broker.filtering.machine_parts import (
    Code,
    Kind,
    Part,
    Untranslated,
    agreed,
    as_kind,
    column,
    constant,
    joined,
    kind_of_type,
)

__all__ = ["UNKNOWN", "Tree"]

_COMPARE = {
    "Eq": k.EQ, "NotEq": k.NE, "Lt": k.LT, "LtEq": k.LE, "Gt": k.GT, "GtEq": k.GE,
    "EqValidity": k.EQ_MISSING, "NotEqValidity": k.NE_MISSING,
}  # fmt: skip
_MIRRORED = {k.EQ: k.EQ, k.NE: k.NE, k.LT: k.GT, k.LE: k.GE, k.GT: k.LT, k.GE: k.LE}
_ARITHMETIC = {"Plus": k.ADD, "Minus": k.SUB, "Multiply": k.MUL, "TrueDivide": k.DIV}
_SCALARS: Mapping[str, Kind] = {
    **dict.fromkeys(("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32"), "i"),
    "Float64": "f",
    "Boolean": "b",
    "String": "s",
}
_CASTS: Mapping[str, Kind] = {"Float64": "f", "Int64": "i", "Boolean": "b", "String": "s"}


UNKNOWN = (
    *(Untranslated, KeyError, TypeError, ValueError, AttributeError, IndexError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)

"""What is raised where a tree is not as known here."""


@dataclass(slots=True)
class Tree:
    """The tree of one filter.

    Parameters
    ----------
    schema
        Types of the columns, those made for all filters among them.
    quiet
        Columns in which NaN cannot be, but for null.
    late
        Columns that Polars is to make only for the rows that are left when all else has been asked.
    """

    schema: Mapping[str, pl.DataType]
    quiet: frozenset[str]
    late: frozenset[str]
    frame: pl.LazyFrame
    made: dict[str, pl.Expr] = field(default_factory=dict)

    def part(self, node: Any) -> Part:
        """The part, or a column that Polars makes of it."""
        try:
            return self.known(node)
        except UNKNOWN:
            return self.made_column(node)

    def known(self, node: Any) -> Part:
        """The part, if the machine knows the node."""
        ((name, body),) = node.items()
        if name == "Literal":
            return _literal(body)
        if name == "Cast" and "Literal" in body["expr"]:
            return _cast(self, body)
        if not _reads(node):
            return self.folded(node)
        return _NODES[name](self, body)

    def folded(self, node: Any) -> Part:
        """What has no column is worked out once, by Polars."""
        series = pl.select(expression(node)).to_series()
        kind = "n" if series.dtype == pl.Null else kind_of_type(series.dtype)
        if kind is None or kind == "g" or len(series) != 1:
            raise Untranslated
        return constant(kind, series.to_physical()[0])

    def made_column(self, node: Any) -> Part:
        """A column that Polars makes of the node."""
        try:
            expr = expression(node)
            kind = kind_of_type(self.frame.select(expr.alias("made")).collect_schema()["made"])
        except UNKNOWN as error:
            raise Untranslated from error
        if kind is None:
            raise Untranslated
        name = "\0" + json.dumps(node)
        self.made[name] = expr
        return column(name, kind, quiet=False, made=True)


def _reads(node: Any) -> bool:
    """Whether there is a column below, or anything but constants and what is made of them."""
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, dict):
            if not here.keys().isdisjoint({"Column", "AnonymousFunction", "Agg", "Eval", "Selector", "Window"}):
                return True
            stack.extend(here.values())
        elif isinstance(here, list):
            if len(here) > 40 and isinstance(here[0], int):  # bytes of a list
                continue
            stack.extend(here)
        elif here in {"Len", "Element"}:
            return True
    return False


def _literal(body: Any) -> Part:
    ((form, scalar),) = body.items()
    if form == "Dyn":
        ((name, value),) = scalar.items()
        return constant({"Int": "i", "Float": "f"}[name], value, dynamic=True)  # type: ignore[arg-type]
    ((name, value),) = scalar.items()
    if name == "Null":
        return constant("n", None)
    if name == "List":
        members = pl.select(expression({"Literal": body})).to_series()[0]
        kind = kind_of_type(members.dtype)
        if kind not in {"i", "s", "f"}:
            raise Untranslated
        return constant(kind, tuple(members.to_list()))
    if name == "Datetime" and value[1:] == ["Microseconds", {"inner": "UTC"}]:
        return constant("t", int(value[0]))
    if name == "Duration" and value[1:] == ["Microseconds"]:
        return constant("d", int(value[0]))
    if value is None:  # JSON has no NaN
        raise Untranslated
    return constant(_SCALARS[name], float(value) if name == "Float64" else value)


def _column(tree: Tree, name: Any) -> Part:
    kind = kind_of_type(tree.schema[name])
    if kind is None:
        raise Untranslated
    return column(name, kind, quiet=name in tree.quiet, made=name in tree.late)


def _cast(tree: Tree, body: Any) -> Part:
    inner, kind = tree.part(body["expr"]), _CASTS[body["dtype"]["Literal"]]
    if inner.kind == kind:
        return inner
    if inner.kind == "n":
        return constant("n", None)
    if inner.written and (inner.kind, kind) == ("i", "f"):
        return constant("f", float(inner.value))  # type: ignore[arg-type]
    if (inner.kind, kind) in {("i", "f"), ("g", "f"), ("b", "i"), ("b", "f")}:
        return as_kind(inner, kind)
    raise Untranslated


def _binary(tree: Tree, body: Any) -> Part:
    op = body["op"]
    left, right = tree.part(body["left"]), tree.part(body["right"])
    if op in _COMPARE:
        return _compared(_COMPARE[op], left, right)
    if op in {"And", "Or"}:
        left, right = as_kind(left, "b"), as_kind(right, "b")
        return joined(left, right, "b", k.AND if op == "And" else k.OR)
    return _computed(_ARITHMETIC[op], left, right)


def _compared(compare: int, left: Part, right: Part) -> Part:
    if left.kind == right.kind == "n":
        raise Untranslated
    kind = agreed(left, right)
    if kind == "s" and not (compare in {k.EQ, k.NE, k.EQ_MISSING, k.NE_MISSING} and (left.written or right.written)):
        raise Untranslated
    number: Kind = "i" if kind == "b" else kind
    whole: Code = ()
    for one, other, way in ((left, right, compare), (right, left, _MIRRORED.get(compare))):
        if one.column and one.kind != "b" and other.written and other.value is not None and way in _MIRRORED and not whole:
            value = as_kind(other, kind).code[1]
            if kind == "f" and one.kind in {"f", "g"} and other.value == other.value:
                whole = (k.KEEP_F, way, ("F", one.column), value)
            elif kind in {"i", "s", "t", "d"}:
                whole = (k.KEEP_I, way, ("I", one.column), ("N", one.column), value)
    if kind == "b":  # truth values are compared as 0 and 1
        left, right = _numeral(left), _numeral(right)
    part = joined(as_kind(left, number), as_kind(right, number), "b", k.CMP_F if kind == "f" else k.CMP_I, compare)
    return replace(part, whole=whole)


def _numeral(truth: Part) -> Part:
    if truth.written:
        return constant("i", None if truth.value is None else int(bool(truth.value)))
    return as_kind(truth, "i")


def _computed(op: int, left: Part, right: Part) -> Part:
    kinds = {left.kind, right.kind}
    if kinds <= {"t", "d"} and op in {k.ADD, k.SUB}:
        result: Kind = "d" if kinds == {"d"} or (left.kind, right.kind) == ("t", "t") else "t"
        if (left.kind, right.kind, op) in {("t", "t", k.ADD), ("d", "t", k.SUB)}:
            raise Untranslated
        words = k.ADD_I if op == k.ADD else k.SUB_I
        return joined(as_kind(left, left.kind), as_kind(right, right.kind), result, words)
    # Integers wrap, singles round: the language turns both into doubles first, but for quotients of whole numbers.
    if not kinds <= {"f", "i", "n"} or "f" not in kinds:
        raise Untranslated
    if right.written and right.value is not None and op in {k.MUL, k.DIV}:
        factor = as_kind(right, "f").value
        assert isinstance(factor, float)
        if op == k.DIV:  # as Polars divides by a constant
            if factor == 0.0:
                return joined(as_kind(left, "f"), as_kind(right, "f"), "f", k.DIV)
            factor = 1.0 / factor
        return as_kind(left, "f").then("f", k.SCALE, ("f", factor))
    return joined(as_kind(left, "f"), as_kind(right, "f"), "f", op, cost=4 if op == k.DIV else 1)


def _ternary(tree: Tree, body: Any) -> Part:
    predicate, truthy, falsy = body["predicate"], body["truthy"], body["falsy"]
    match predicate, falsy:
        case {"Function": {"input": [inner], "function": {"Boolean": "IsFinite"}}}, {"Literal": {"Scalar": {"Null": "Null"}}}:
            if inner == truthy:
                part = tree.part(truthy)
                if part.kind == "f" and not part.written:
                    return part.then("f", k.FINITE)
    test = as_kind(tree.part(predicate), "b")
    one, other = tree.part(truthy), tree.part(falsy)
    if one.kind == other.kind == "n":
        return constant("n", None)
    kind = agreed(one, other)
    if kind == "f" and "g" in {one.kind, other.kind}:
        raise Untranslated
    one, other = as_kind(one, kind), as_kind(other, kind)
    depth = max(test.depth, one.depth + 1, other.depth + 2)
    select = {"f": k.SELECT_F, "b": k.SELECT_B}.get(kind, k.SELECT_I)
    cost, made = test.cost + one.cost + other.cost + 2, test.made | one.made | other.made
    return Part(kind, (*test.code, *one.code, *other.code, select), depth, cost, made=made)


_NODES: Mapping[str, Callable[[Tree, Any], Part]] = {
    "Column": _column,
    "Cast": _cast,
    "BinaryExpr": _binary,
    "Ternary": _ternary,
    "Function": lambda tree, body: function(body["function"], [tree.part(node) for node in body["input"]]),
}
