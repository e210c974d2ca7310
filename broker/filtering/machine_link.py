"""Programs joined to one image for the kernel, and the columns they read as its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from broker.filtering import machine_kernel as k
from broker.filtering.machine_kernel import Bytes, Floats, Ints
from broker.filtering.machine_parts import Code

__all__ = ["Image", "Tables", "link"]


@dataclass(frozen=True, slots=True)
class Tables:
    """Columns by kind, and which row of its table each column of an image is (-1: none of them)."""

    floats: Floats
    integers: Ints
    flags: Bytes
    float_slots: Ints
    integer_slots: Ints
    flag_slots: Ints
    texts: Bytes
    text_bounds: Ints
    text_slots: Ints


@dataclass(frozen=True, slots=True)
class Image:
    """Programs, linked.

    Parameters
    ----------
    code, starts
        Instructions, and where each program begins.
    floats, integers
        Constants.
    float_columns, integer_columns
        Names by number.
    flag_columns
        By number: name, and whether its values (true, false, null) or only its nulls are wanted.
    text_columns
        Names by number of those in which patterns are looked for.
    dictionary
        Numbers of the texts that the programs compare with.
    """

    code: Ints
    starts: Ints
    floats: Floats
    integers: Ints
    float_columns: Sequence[str]
    integer_columns: Sequence[str]
    flag_columns: Sequence[tuple[str, bool]]
    text_columns: Sequence[str]
    dictionary: Mapping[str, int]

    def columns(self) -> set[str]:
        """Names of what it reads."""
        return {*self.float_columns, *self.integer_columns, *(name for name, _ in self.flag_columns), *self.text_columns}

    def tables(self, column: Callable[[str], pl.Series | None], height: int) -> Tables:
        """The columns of a frame of that height; those that are not there must not be read."""
        floats, float_slots = _stacked([_floats(column(name)) for name in self.float_columns], height, np.float64)
        numbers = _integers([column(name) for name in self.integer_columns], self.dictionary)
        integers, integer_slots = _stacked(numbers, height, np.int64)
        flags, flag_slots = _stacked([_flags(column(n), truths=truths) for n, truths in self.flag_columns], height, np.uint8)
        texts = _texts([column(name) for name in self.text_columns], height)
        return Tables(floats, integers, flags, float_slots, integer_slots, flag_slots, *texts)


def _texts(columns: Sequence[pl.Series | None], height: int) -> tuple[Bytes, Ints, Ints]:
    """UTF-8 of all texts one behind the other, where each begins by column and row, and which of these a column is."""
    there = [at for at, series in enumerate(columns) if series is not None]
    slots = np.full(len(columns), -1, np.int64)
    slots[there] = np.arange(len(there))
    bounds = np.zeros((len(there), height + 1), np.int64)
    parts: list[bytes] = []
    filled = 0
    for row, at in zip(bounds, there, strict=True):
        texts = [(text or "").encode() for text in columns[at].to_list()]  # type: ignore[union-attr]
        row[0] = filled
        np.cumsum(np.fromiter(map(len, texts), np.int64, height), out=row[1:])
        row[1:] += filled
        filled = int(row[-1])
        parts += texts
    return np.array(bytearray(b"".join(parts)), np.uint8), bounds, slots


def _stacked(columns: Sequence[Any], height: int, dtype: type) -> tuple[Any, Ints]:
    there = [column for column in columns if column is not None]
    table: Any = np.empty((len(there), height), dtype)
    for row, column in zip(table, there, strict=True):
        row[:] = column
    slots = np.full(len(columns), -1, np.int64)
    slots[[at for at, column in enumerate(columns) if column is not None]] = np.arange(len(there))
    return table, slots


def _floats(series: pl.Series | None) -> Floats | None:
    return None if series is None else series.to_numpy()  # null becomes NaN


# On a batch of a few rows most methods of a series cost some 50 microseconds, as Polars plans a query for each; casts do not.
def _integers(columns: Sequence[pl.Series | None], dictionary: Mapping[str, int]) -> list[Ints | None]:
    made: dict[int, Ints] = {}
    gaps: list[tuple[int, pl.Series]] = []
    for at, series in enumerate(columns):
        if series is None:
            continue
        if series.dtype == pl.String:
            made[at] = np.fromiter((dictionary.get(text, -1) for text in series.to_list()), np.int64, len(series))
        elif series.null_count():
            gaps.append((at, series.cast(pl.Int64)))
        else:
            made[at] = series.cast(pl.Int64).to_numpy()
    if gaps:
        filled = pl.DataFrame([series.alias(str(at)) for at, series in gaps]).fill_null(0)
        made |= {at: filled[str(at)].to_numpy() for at, _ in gaps}
    return [made.get(at) for at in range(len(columns))]


def _flags(series: pl.Series | None, *, truths: bool) -> Bytes | None:
    if series is None:
        return None
    if not series.null_count():
        return series.cast(pl.UInt8).to_numpy() if truths else np.zeros(len(series), np.uint8)
    if series.dtype == pl.String:
        return np.fromiter((text is None for text in series.to_list()), np.uint8, len(series))
    # As a truth value NaN is true and as a double null is NaN, so that after both NaN is what was null.
    known = series.cast(pl.Int64 if series.dtype.is_temporal() else pl.Boolean).cast(pl.Float64).to_numpy()
    nulls = np.isnan(known)
    return np.where(nulls, 2, known).astype(np.uint8) if truths else nulls.astype(np.uint8)


@dataclass(slots=True)
class _Linker:
    """Gives out the numbers of columns and constants."""

    dictionary: dict[str, int]
    floats: dict[str, int] = field(default_factory=dict)
    integers: dict[object, int] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    columns: dict[str, dict[Any, int]] = field(default_factory=lambda: {"F": {}, "I": {}, "B": {}, "T": {}})

    def number(self, word: tuple[str, object]) -> int:
        kind, value = word
        if kind == "f":
            return self.floats.setdefault(repr(value), len(self.floats))  # 0.0 and -0.0 are two
        if kind in {"i", "s"}:
            return self.constants([self.text(value) if kind == "s" else int(str(value))])[0]
        if kind in {"run", "end"}:
            members: tuple[str, tuple[object, ...]] = value  # type: ignore[assignment]
            numbers = {self.text(member) if members[0] == "s" else int(str(member)) for member in members[1]}
            return self.constants(sorted(numbers))[kind == "end"]
        if kind in {"like", "like end"}:
            tokens: tuple[int, ...] = value  # type: ignore[assignment]
            return self.constants(list(tokens))[kind == "like end"]
        table, key = ("B", (value, kind == "B")) if kind in {"B", "N"} else (kind, value)
        known = self.columns[table]
        return known.setdefault(key, len(known))

    def text(self, text: object) -> int:
        return self.dictionary.setdefault(str(text), len(self.dictionary))

    def constants(self, numbers: list[int]) -> tuple[int, int]:
        """Where these stand, one behind the other."""
        at = self.integers.setdefault(tuple(numbers), len(self.numbers))
        if at == len(self.numbers):
            self.numbers.extend(numbers)
        return at, at + len(numbers)


def link(programs: Sequence[Sequence[Code]], dictionary: dict[str, int]) -> Image:
    """Join programs, each a list of clauses; texts they compare with are numbered in `dictionary`."""
    linker = _Linker(dictionary)
    code: list[int] = []
    starts: list[int] = []
    for clauses in programs:
        starts.append(len(code))
        for clause in clauses:
            code.extend(word if isinstance(word, int) else linker.number(word) for word in clause)
        code.append(k.END)
    return Image(
        np.array(code, np.int64),
        np.array(starts, np.int64),
        np.array([float(text) for text in linker.floats], np.float64),
        np.array(linker.numbers, np.int64),
        list(linker.columns["F"]),
        list(linker.columns["I"]),
        list(linker.columns["B"]),
        list(linker.columns["T"]),
        dictionary,
    )
