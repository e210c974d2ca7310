"""Pieces of program that leave one value on the stack: what `broker.filtering.machine_tree` makes of the nodes of a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from broker.filtering import machine_kernel as k

__all__ = [
    "Code",
    "Kind",
    "Part",
    "Untranslated",
    "Word",
    "agreed",
    "as_kind",
    "column",
    "constant",
    "joined",
    "kind_of_type",
    "with_table",
]

Kind = Literal["f", "g", "i", "b", "s", "t", "d", "n"]
"""Double, single, integer, truth value, text, time, duration, null; singles are held as doubles, texts, times as integers."""

Word = int | tuple[str, object]
"""An instruction or operand, or what the linker puts a number for: a column (``F`` doubles, ``I`` integers, ``B`` truth values,
``N`` the nulls of any, ``T`` texts to look into) or a constant (``f``, ``i``, ``s`` a text; ``run`` and ``end``, the bounds of
a sorted list; ``like`` and ``like end``, those of a pattern)."""

Code = tuple[Word, ...]

_KINDS: Mapping[type[pl.DataType], Kind] = {
    **dict.fromkeys((pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32), "i"),
    pl.Float64: "f",
    pl.Float32: "g",
    pl.Boolean: "b",
    pl.String: "s",
}


class Untranslated(Exception):  # noqa: N818 - no error: what is not translated Polars does
    """The machine does not know this node."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of program.

    Parameters
    ----------
    depth
        Places on the stack it takes.
    cost
        What a row costs, roughly in nanoseconds.
    written, value
        Whether it is a constant, and which.
    dynamic
        Whether that constant takes the type of what stands beside it.
    column
        Where it is nothing but a column: its name.
    whole
        The same as one instruction that keeps rows, if it can be a clause of its own.
    table
        Where it is a truth value of `column` alone: what it is where the column is false, true, null.
    made
        Columns Polars has to make first.
    """

    kind: Kind
    code: Code
    depth: int = 1
    cost: int = 1
    written: bool = False
    value: object = None
    dynamic: bool = False
    column: str | None = None
    whole: Code = ()
    table: tuple[int, int, int] | None = None
    made: frozenset[str] = field(default_factory=frozenset)

    def then(self, kind: Kind, *words: Word, cost: int = 1) -> Part:
        """It, and what `words` make of the top of the stack."""
        return Part(kind, (*self.code, *words), self.depth, self.cost + cost, made=self.made)


def kind_of_type(dtype: pl.DataType | type[pl.DataType]) -> Kind | None:
    """Kind of a column; ``None`` for one that the machine does not hold."""
    if dtype == pl.Datetime("us", "UTC"):
        return "t"
    if dtype == pl.Duration("us"):
        return "d"
    return _KINDS.get(dtype.base_type())


def column(name: str, kind: Kind, *, quiet: bool, made: bool = False) -> Part:
    """A column; `quiet` if no NaN is in it but for null."""
    needs = frozenset({name}) if made else frozenset[str]()
    if kind == "b":
        part = Part("b", (k.LOAD_B, ("B", name)), column=name, table=(0, 1, 2), made=needs)
        return with_table(part, (0, 1, 2))
    if kind in {"f", "g"}:
        code: Code = (k.LOAD_F, ("F", name), -1 if quiet else ("N", name))
        return Part(kind, code, column=name if quiet else None, made=needs)
    return Part(kind, (k.LOAD_I, ("I", name), ("N", name)), column=name, made=needs)


def with_table(part: Part, table: tuple[int, int, int]) -> Part:
    """A truth value of one column as a clause of its own."""
    passes = sum(1 << index for index, truth in enumerate(table) if truth == 1)
    assert part.column is not None
    return replace(part, table=table, whole=(k.KEEP_B, ("B", part.column), passes))


def constant(kind: Kind, value: object, *, dynamic: bool = False) -> Part:
    """A constant, of no code before its kind is settled."""
    return Part(kind if value is not None else "n", (), cost=0, written=True, value=value, dynamic=dynamic)


def as_kind(part: Part, kind: Kind) -> Part:
    """Part as a value of that kind, with the code to push it.

    Raises
    ------
    Untranslated
        It cannot be one.
    """
    if part.written:
        return _pushed(part, kind)
    if part.kind == kind or (part.kind == "g" and kind == "f"):
        return part
    if part.kind == "b" and kind in {"i", "f"}:
        number = part.then("i", k.B_TO_I)
        return number if kind == "i" else number.then("f", k.I_TO_F)
    if part.kind == "i" and kind == "f":
        return part.then("f", k.I_TO_F)
    raise Untranslated


def _pushed(part: Part, kind: Kind) -> Part:
    value = part.value
    code: Code
    if value is None:
        code = (k.CONST_B, 2 if kind == "b" else 1)
    elif kind == "f" and isinstance(value, int | float):
        code = (k.CONST_F, ("f", float(value)))
    elif kind == "b" and isinstance(value, bool):
        code = (k.CONST_B, int(value))
    elif kind == "s" and isinstance(value, str):
        code = (k.CONST_I, ("s", value))
    elif kind == part.kind and kind in {"i", "t", "d"} and isinstance(value, int):
        code = (k.CONST_I, ("i", value))
    else:
        raise Untranslated
    return replace(part, kind=kind, code=code, cost=1, value=float(value) if code[0] == k.CONST_F else value)  # type: ignore[arg-type]


def joined(left: Part, right: Part, kind: Kind, *words: Word, cost: int = 1) -> Part:
    """Two parts, and what `words` make of the two values."""
    depth = max(left.depth, right.depth + 1)
    return Part(kind, (*left.code, *right.code, *words), depth, left.cost + right.cost + cost, made=left.made | right.made)


def agreed(left: Part, right: Part) -> Kind:
    """Kind in which Polars takes both.

    Raises
    ------
    Untranslated
        That depends on more than is known here.
    """
    kinds = {left.kind, right.kind} - {"n"}
    if len(kinds) == 1:
        return "f" if kinds == {"g"} else kinds.pop()
    if kinds == {"f", "i"}:
        return "f"
    # A single beside a double or a 64-bit literal is made a double; beside others it depends.
    if "g" in kinds and kinds <= {"f", "g", "i"} and not left.dynamic and not right.dynamic:
        other = right if left.kind == "g" else left
        if other.kind == "f" or other.written:
            return "f"
    raise Untranslated
