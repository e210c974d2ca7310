"""Columns of a frame as the arrays that `broker.deliver.kernel` writes records from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.deliver import kernel

__all__ = ["Operation", "Packed", "array", "constant", "entry", "field", "ints", "long", "nullable", "pack", "records"]

Place = Literal["field", "nullable", "entry"]

ints = npt.NDArray[np.int64]

_BRANCH = {kernel.DOUBLE: 1, kernel.LONG: 2, kernel.BOOLEAN: 3, kernel.STRING: 4}
"""Of the union that the values of the annotations are."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What is written of one column.

    Parameters
    ----------
    kind
        As in `broker.deliver.kernel`.
    expr
        Float64, Int64 or String; ``None`` where nothing is read.
    before, instead
        Bytes before a value, and in place of a null.
    blob, bounds, counts
        Of ``ARRAY`` and ``RAW``: bytes already written, where each row's lie in it (shape (rows + 1,)), how many elements.
    entries
        Of ``MAP``: the operations after it that are its entries.
    """

    kind: int
    expr: pl.Expr | None = None
    before: bytes = b""
    instead: bytes = b""
    blob: bytes = b""
    bounds: ints | None = None
    counts: ints | None = None
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Packed:
    """Arrays of operations, as `broker.deliver.kernel.write` takes them."""

    kinds: ints
    values: ints
    ends: ints
    valid: npt.NDArray[np.int32]
    text: npt.NDArray[np.uint8]
    prefixes: npt.NDArray[np.uint8]
    prefix_at: ints


_NUMBERS = frozenset({kernel.DOUBLE, kernel.LONG, kernel.BOOLEAN})
_REMEMBERED = 16_384  # operations: the columns are the same in every batch


def _stored(name: str, dtype: pl.DataType) -> tuple[int, pl.Expr] | None:  # noqa: PLR0911  a table of types
    """How a column is written; ``None`` for lists, structs and bytes, which are not."""
    column = pl.col(name)
    if dtype.is_float() or dtype.is_decimal():
        return kernel.DOUBLE, column.cast(pl.Float64).fill_nan(None)
    if dtype == pl.UInt64:  # may not fit a signed long
        return kernel.STRING, column.cast(pl.String)
    if dtype.is_integer():
        return kernel.LONG, column.cast(pl.Int64)
    if dtype == pl.Boolean:
        return kernel.BOOLEAN, column.cast(pl.Int64)
    if dtype.base_type() in {pl.String, pl.Categorical, pl.Enum, pl.Null}:
        return kernel.STRING, column.cast(pl.String)
    if isinstance(dtype, pl.Datetime):
        return kernel.STRING, column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if dtype == pl.Date:
        return kernel.STRING, column.dt.strftime("%Y-%m-%d")
    if isinstance(dtype, pl.Duration):
        return kernel.DOUBLE, column.dt.total_microseconds() / 1e6
    return None


@lru_cache(_REMEMBERED)
def field(name: str, dtype: pl.DataType, before: bytes = b"") -> Operation:
    """A field that is never null."""
    stored = (kernel.LONG, pl.col(name).dt.epoch("us")) if isinstance(dtype, pl.Datetime) else _stored(name, dtype)
    assert stored is not None, name
    return Operation(*stored, before=before)


@lru_cache(_REMEMBERED)
def nullable(name: str, dtype: pl.DataType) -> Operation:
    """A field of type ``["null", ...]``; times are microseconds."""
    return replace(field(name, dtype, b"\x02"), instead=b"\x00")


@lru_cache(_REMEMBERED)
def entry(key: str, column: str, dtype: pl.DataType) -> Operation | None:
    """An entry of the annotations; ``None`` for what cannot be one."""
    stored = _stored(column, dtype)
    if stored is None:
        return None
    raw = key.encode()
    name = long(len(raw)) + raw
    return Operation(*stored, before=name + long(_BRANCH[stored[0]]), instead=name + b"\x00")


def array(blob: bytes, bounds: ints, counts: ints) -> Operation:
    """An array whose elements are written already."""
    return Operation(kernel.ARRAY, blob=blob, bounds=bounds, counts=counts)


def constant(blob: bytes) -> Operation:
    """The same bytes in every record."""
    return Operation(kernel.RAW, blob=blob)


def long(number: int) -> bytes:
    """A number as Avro writes it: zigzag, seven bits a byte."""
    out = np.empty(10, dtype=np.uint8)
    return out[: kernel.varint(number, out, 0)].tobytes()


def pack(frame: pl.DataFrame, operations: Sequence[Operation]) -> Packed:
    """Arrays for the rows of a frame."""
    shape = (len(operations), frame.height)
    values, ends = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    valid = np.ones(shape, dtype=np.int32)
    _numbers(frame, operations, values, valid)
    texts = [_strings(frame, operations, values, ends, valid)]
    start = len(texts[0])
    for index, operation in enumerate(operations):
        if operation.kind == kernel.MAP:
            values[index] = operation.entries
        elif operation.kind in {kernel.ARRAY, kernel.RAW}:
            bounds = operation.bounds
            values[index] = start + (bounds[:-1] if bounds is not None else 0)
            ends[index] = start + (bounds[1:] if bounds is not None else len(operation.blob))
            if operation.counts is not None:
                valid[index] = operation.counts
            texts.append(np.frombuffer(operation.blob, dtype=np.uint8))
            start += len(operation.blob)
    prefixes = b"".join(operation.before + operation.instead for operation in operations)
    lengths = np.array([(len(operation.before), len(operation.instead)) for operation in operations], dtype=np.int64)
    edges = np.concatenate([[0], np.cumsum(lengths.ravel())])
    return Packed(
        np.array([operation.kind for operation in operations], dtype=np.int64),
        values,
        ends,
        valid,
        np.concatenate(texts),
        np.frombuffer(prefixes, dtype=np.uint8),
        np.stack([edges[0:-1:2], edges[1::2], edges[2::2]], axis=1).astype(np.int64),
    )


def _numbers(frame: pl.DataFrame, operations: Sequence[Operation], values: ints, valid: npt.NDArray[np.int32]) -> None:
    chosen = [index for index, operation in enumerate(operations) if operation.kind in _NUMBERS]
    read = frame.select(operations[index].expr.alias(str(index)) for index in chosen)  # type: ignore[union-attr]
    for index, column in zip(chosen, read, strict=True):
        missing = column.null_count()
        if missing:
            valid[index] = column.is_not_null().to_numpy() if missing < frame.height else 0
        if missing < frame.height:
            numbers = (column.fill_null(0) if missing else column).to_numpy()
            dtype = np.float64 if operations[index].kind == kernel.DOUBLE else np.int64
            values[index] = np.ascontiguousarray(numbers, dtype=dtype).view(np.int64)


def _strings(
    frame: pl.DataFrame, operations: Sequence[Operation], values: ints, ends: ints, valid: npt.NDArray[np.int32]
) -> npt.NDArray[np.uint8]:
    """One run of bytes with all texts, column after column."""
    chosen = [index for index, operation in enumerate(operations) if operation.kind == kernel.STRING]
    if not chosen or not frame.height:
        return np.empty(0, dtype=np.uint8)
    read = frame.select(operations[index].expr.alias(str(index)) for index in chosen)  # type: ignore[union-attr]
    whole = pl.concat(read.get_columns()).rechunk()
    lengths = whole.str.len_bytes().fill_null(0).to_numpy()
    edges = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])
    valid[chosen] = whole.is_not_null().to_numpy().reshape(len(chosen), -1)
    values[chosen] = edges[:-1].reshape(len(chosen), -1)
    ends[chosen] = edges[1:].reshape(len(chosen), -1)
    # Nulls have no bytes, so that the joined text is theirs as well.
    joined = whole.fill_null("").str.join("", ignore_nulls=True).cast(pl.Binary)[0]
    return np.frombuffer(joined or b"", dtype=np.uint8)


def records(packed: Packed, order: ints, rows: ints, *, keep_nulls: bool = False) -> tuple[bytes, ints]:
    """Records of the chosen rows: their bytes joined, and where each lies in them (shape (rows + 1,))."""
    arrays = (packed.kinds, packed.values, packed.ends)
    out = np.empty(kernel.space(order, rows, *arrays, packed.prefix_at), dtype=np.uint8)
    places = kernel.write(order, rows, *arrays, packed.valid, packed.text, packed.prefixes, packed.prefix_at, keep_nulls, out)
    return out[: places[-1]].tobytes(), places
