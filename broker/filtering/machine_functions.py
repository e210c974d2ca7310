"""Polars' functions as pieces of program; those whose results are the same to the last bit, no others."""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from broker.filtering import machine_kernel as k
from broker.filtering.machine_parts import Part, Untranslated, agreed, as_kind, constant, joined, with_table
from broker.filtering.machine_text import searched

__all__ = ["expression", "function", "is_in"]

_COALESCE = {"f": k.COALESCE_F, "b": k.COALESCE_B}
_UNARY = {"Abs": k.ABS, "Negate": k.NEG, "Exp": k.EXP, "Floor": k.FLOOR, "Ceil": k.CEIL}
_ANGLES = {"Sin": k.SIN, "Cos": k.COS, "ArcSin": k.ASIN}
_TURNS = {"Radians": math.pi / 180.0, "Degrees": 180.0 / math.pi}
_DEAR = 20  # what a function of libm costs


def expression(node: Any) -> pl.Expr:
    """The expression of a node of a tree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pl.Expr.deserialize(io.BytesIO(json.dumps(node).encode()), format="json")


def function(spec: Any, parts: Sequence[Part]) -> Part:
    """Value of a call.

    Parameters
    ----------
    spec
        Polars' name of the function, with its options.

    Raises
    ------
    Untranslated
        It is left to Polars.
    """
    name, option = (spec, None) if isinstance(spec, str) else next(iter(spec.items()))
    if name in _UNARY:
        return _double(parts[0]).then("f", k.UNARY, _UNARY[name], cost=_DEAR if name == "Exp" else 1)
    made = _FUNCTIONS.get(name)
    if made is None:
        raise Untranslated
    return made(option, parts)


def _double(part: Part) -> Part:
    if part.kind != "f" or part.written:
        raise Untranslated
    return part


def _first_known(_: Any, parts: Sequence[Part]) -> Part:
    first, *others = parts
    for other in others:
        first = _filled(first, other)
    return first


def _filled(first: Part, second: Part) -> Part:
    kind = agreed(first, second)
    if "g" in {first.kind, second.kind}:
        raise Untranslated
    part = joined(as_kind(first, kind), as_kind(second, kind), kind, _COALESCE.get(kind, k.COALESCE_I))
    if first.table is not None and second.written and isinstance(second.value, bool):
        return _of_column(part, first, (*first.table[:2], first.table[2] if first.table[2] < 2 else int(second.value)))
    return part


def _of_column(part: Part, source: Part, table: tuple[int, int, int]) -> Part:
    """Part as a truth table of the column that `source` is one of."""
    return with_table(replace(part, column=source.column), table)


def _boolean(option: Any, parts: Sequence[Part]) -> Part:
    part = parts[0]
    if isinstance(option, dict):
        return is_in(option["IsIn"], part, parts[1])
    if part.written:
        raise Untranslated
    if option in {"IsNull", "IsNotNull"}:
        want = option == "IsNull"
        tested = part.then("b", k.IS_NULL, int(part.kind == "b"), int(want))
        if part.table is None:
            return tested
        return _of_column(tested, part, _mapped(part.table, (int(not want), int(not want), int(want))))
    if option == "Not":
        turned = as_kind(part, "b").then("b", k.NOT)
        return turned if part.table is None else _of_column(turned, part, _mapped(part.table, (1, 0, 2)))
    words = {"IsFinite": k.IS_FINITE, "IsNan": k.IS_NAN, "IsNotNan": k.IS_NOT_NAN}
    return _double(part).then("b", words[option])


def _mapped(table: tuple[int, int, int], by: tuple[int, int, int]) -> tuple[int, int, int]:
    return by[table[0]], by[table[1]], by[table[2]]


def is_in(option: Mapping[str, Any], part: Part, members: Part) -> Part:
    """Whether a number or a text is one of a list that is written out."""
    if option["nulls_equal"] or part.kind not in {"i", "s", "f"} or part.written or not isinstance(members.value, tuple):
        raise Untranslated
    known = members.value
    if members.kind != part.kind or any(value is None for value in known):
        raise Untranslated
    if part.kind == "f":
        bits = tuple((np.array(known, np.float64) + 0.0).view(np.int64).tolist())  # of -0.0 those of 0.0
        part, known = part.then("i", k.BITS), bits
    return part.then("b", k.IN_I, ("run", (part.kind, known)), ("end", (part.kind, known)), cost=3)


def _angle(option: Any, parts: Sequence[Part]) -> Part:
    if option in _ANGLES:
        return _double(parts[0]).then("f", k.UNARY, _ANGLES[option], cost=_DEAR)
    return _double(parts[0]).then("f", k.SCALE, ("f", _TURNS[option]))


def _power(option: Any, parts: Sequence[Part]) -> Part:
    if option == "Sqrt":
        return _double(parts[0]).then("f", k.UNARY, k.SQRT, cost=4)
    if option != "Generic":
        raise Untranslated
    base, exponent = parts
    if exponent.written and exponent.value is not None:
        base = _double(base)
        if exponent.kind == "i" and exponent.value != 2:
            raise Untranslated
        worth = float(exponent.value)  # type: ignore[arg-type]
        if worth == 1.0:
            return base
        if worth == 0.5:
            return base.then("f", k.UNARY, k.SQRT, cost=4)
        if worth.is_integer() and 1.0 < worth < 10.0:  # as Polars makes them: by repeated products
            return base.then("f", k.POWER_OF, int(worth), cost=int(worth))
        return joined(base, as_kind(exponent, "f"), "f", k.BINARY, k.POW, cost=2 * _DEAR)
    if base.kind != "f" or exponent.kind != "f":
        raise Untranslated
    return joined(as_kind(base, "f"), exponent, "f", k.BINARY, k.POW, cost=2 * _DEAR)


def _logarithm(_: Any, parts: Sequence[Part]) -> Part:
    number, base = parts
    if not base.written or base.kind != "f" or not isinstance(base.value, float):
        raise Untranslated
    natural = _double(number).then("f", k.UNARY, k.LN, cost=_DEAR)
    if base.value == math.e:
        return natural
    return joined(natural, as_kind(constant("f", math.log(base.value)), "f"), "f", k.DIV)


def _clip(_: Any, parts: Sequence[Part]) -> Part:
    number, low, high = parts
    if not (low.written and high.written and isinstance(low.value, float) and isinstance(high.value, float)):
        raise Untranslated
    return _double(number).then("f", k.CLIP, ("f", low.value), ("f", high.value))


def _extreme(which: int) -> Callable[[Any, Sequence[Part]], Part]:
    def made(_: Any, parts: Sequence[Part]) -> Part:
        if any(part.kind not in {"f", "i", "n"} for part in parts) or all(part.kind != "f" for part in parts):
            raise Untranslated
        first, *others = (as_kind(part, "f") for part in parts)
        for other in others:
            first = joined(first, other, "f", k.BINARY, which)
        return first

    return made


def _temporal(option: Any, parts: Sequence[Part]) -> Part:
    if option != {"TimeStamp": "Microseconds"} or parts[0].kind != "t" or parts[0].written:
        raise Untranslated
    return parts[0].then("i")


def _arctan2(_: Any, parts: Sequence[Part]) -> Part:
    if any(part.kind != "f" for part in parts):
        raise Untranslated
    return joined(as_kind(parts[0], "f"), as_kind(parts[1], "f"), "f", k.BINARY, k.ATAN2, cost=2 * _DEAR)


_FUNCTIONS: Mapping[str, Callable[[Any, Sequence[Part]], Part]] = {
    "FillNull": _first_known,
    "Coalesce": _first_known,
    "Boolean": _boolean,
    "Trigonometry": _angle,
    "Atan2": _arctan2,
    "Pow": _power,
    "Log": _logarithm,
    "Clip": _clip,
    "MinHorizontal": _extreme(k.MIN),
    "MaxHorizontal": _extreme(k.MAX),
    "StringExpr": searched,
    "TemporalExpr": _temporal,
}
