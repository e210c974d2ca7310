"""A batch's spans of records as columns: the kernel's arrays put into Arrow's shape, or fastavro's where the kernel cannot.

`Decoded` has one row a record that could be read, in order. Fields of lists stay flat, beside the offsets that say whose they
are.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from broker.decode.decoded import Decoded, Ragged, decode_slowly
from broker.decode.instructions import MESSAGES, TRUNCATED
from broker.decode.ocf import Spans
from broker.decode.program import Column, Program, UnusualSchemaError, compile_program

__all__ = ["Decoded", "Ragged", "decode", "to_series"]

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_UNITS = {"timestamp-millis": "ms", "timestamp-micros": "us", "local-timestamp-millis": "ms", "local-timestamp-micros": "us"}


def decode(schema: Any, spans: Spans, wanted: frozenset[str], missing: tuple[float, ...] = ()) -> Decoded:
    """Read the `wanted` paths of every record; numbers in `missing`, and NaN, are null. See `Decoded`.

    A packet is read up to its first span that breaks, and fails there.

    Raises
    ------
    ValueError
        The schema is none of a record.
    """
    try:
        program = _program(schema, wanted)
    except UnusualSchemaError:
        return decode_slowly(schema, spans, wanted, missing)
    return _fast(program, spans, missing)


_MOST_SLOTS = 48_000_000
_per_row: WeakKeyDictionary[Program, int] = WeakKeyDictionary()  # items a row that sufficed the last time
_programs: dict[tuple[int, frozenset[str]], tuple[Any, Program]] = {}


def _program(schema: Any, wanted: frozenset[str]) -> Program:
    key = (id(schema), wanted)
    known = _programs.get(key)
    if known is None:
        if len(_programs) >= 1024:
            _programs.clear()
        known = _programs[key] = (schema, compile_program(schema, wanted))  # the schema too, or its id could be used again
    return known[1]


def _fast(program: Program, spans: Spans, missing: tuple[float, ...]) -> Decoded:
    from broker.decode import kernel  # noqa: PLC0415 - as the compiler behind it is slow to load

    count = np.where(spans.count > spans.size // max(program.min_size, 1), 0, spans.count)
    rows = np.concatenate([[0], np.cumsum(count)])
    total = int(rows[-1])
    owner = np.array([column.cursor for column in program.columns], np.int64)
    status, where = np.zeros(count.size, np.int32), np.zeros(count.size, np.int64)
    per_row = _per_row.get(program, 48)
    while True:
        room = np.array([total] + [total * per_row] * len(program.lists), np.int64)
        base = np.concatenate([[0], np.cumsum(room[owner])]).astype(np.int64)
        if base[-1] > _MOST_SLOTS and total:
            biggest = int(np.argmax(np.where(count > 0, spans.size, -1)))
            return _fast(program, _without(spans, biggest), missing)
        values = np.empty(max(int(base[-1]), 1), np.int64)
        reals = values.view(np.float64)
        extents = np.full(values.size, -1, np.int32)
        begins, ends = np.zeros((room.size, total), np.int64), np.zeros((room.size, total), np.int64)
        arguments = (spans.address, spans.size, count, rows[:-1], values, reals, extents, begins, ends, status, where)
        if not kernel.run(program.code, base[:-1], owner, room, *arguments):
            break
        per_row *= 4
    _per_row[program] = per_row
    status[count < spans.count] = TRUNCATED
    failed = dict(spans.failed)
    good = _good_spans(spans, status, where, failed)
    source, unit = np.repeat(spans.source, count), np.zeros(total, np.int64)
    keep = np.repeat(good, count)
    whole = bool(keep.all())
    source = source if whole else source[keep]
    if source.size:
        first = np.flatnonzero(np.diff(source, prepend=source[0] - 1))
        unit = np.arange(source.size) - np.repeat(first, np.diff(first, append=source.size))
    doubtful: dict[int, str] = {}
    parts: list[dict[str, list[pl.Series]]] = [{} for _ in range(room.size)]
    picks = {number: _items(begins[number], ends[number], keep, whole) for number in range(1, room.size)}
    for number, column in enumerate(program.columns):
        stretch = slice(int(base[number]), int(base[number + 1]))
        pick = picks[column.cursor][1] if column.cursor else (slice(None) if whole else keep)
        if column.kind == "double":
            numbers = reals[stretch][pick]
            series = to_series(column.path, numbers, (extents[stretch][pick] >= 0) & _given(numbers, missing))
        else:
            series = _series(column, values[stretch][pick], extents[stretch][pick], doubtful)
        parts[column.cursor].setdefault(column.path, []).append(series)
    plain, *ragged = ({name: _joined(series) for name, series in fields.items()} for fields in parts)
    return Decoded(
        pl.DataFrame(plain) if plain else pl.DataFrame(height=int(source.size)),
        source,
        unit[: source.size],
        {
            path: Ragged(picks[number][0], {name.split("[].")[1]: item for name, item in fields.items()})
            for number, (path, fields) in enumerate(zip(program.lists, ragged, strict=True), start=1)
        },
        failed,
        doubtful,
    )


def _without(spans: Spans, number: int) -> Spans:
    """Spans without those of one packet from one of its spans on, whose lists hold more than memory is given for."""
    source = int(spans.source[number])
    keep = (spans.source != source) | (np.arange(spans.source.size) < number)
    failed = {**spans.failed, source: f"the packet has lists of more than {_MOST_SLOTS} values"}
    return Spans(spans.source[keep], spans.address[keep], spans.size[keep], spans.count[keep], failed, spans.keep)


def _good_spans(spans: Spans, status: npt.NDArray[np.int32], where: Ints, failed: dict[int, str]) -> Mask:
    """Which spans are to be kept: those before their packet's first broken one; notes why in `failed`."""
    good = np.ones(status.size, np.bool_)
    ended: set[int] = set()
    for number in np.flatnonzero(status).tolist():
        source = int(spans.source[number])
        if source in ended:
            continue
        ended.add(source)
        failed[source] = f"the packet {MESSAGES[int(status[number])]}, at byte {where[number]} of its record data"
        good[number:] &= spans.source[number:] != source
    return good


def _items(begins: Ints, ends: Ints, keep: Mask, whole: bool) -> tuple[Ints, slice | Ints]:
    """Offsets of a list's items by kept row, and where those items are in its columns."""
    if not whole:
        begins, ends = begins[keep], ends[keep]
    lengths = ends - begins
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    if begins.size == 0:
        return offsets, slice(0, 0)
    if np.array_equal(begins[1:], ends[:-1]):
        return offsets, slice(int(begins[0]), int(ends[-1]))
    return offsets, np.arange(offsets[-1]) + np.repeat(begins - offsets[:-1], lengths)


def _joined(columns: list[pl.Series]) -> pl.Series:
    """One column of those a union of several types made, of the type that holds them all without loss."""
    first, *others = columns
    if not others:
        return first
    kinds = {series.dtype for series in columns}
    if kinds <= {pl.Int64, pl.Float64} and all(_is_exact(series) for series in columns if series.dtype == pl.Int64):
        kind: type[pl.DataType] = pl.Float64
    elif kinds == {pl.Binary}:
        kind = pl.Binary
    else:
        kind = pl.String
        columns = [series for series in columns if series.dtype != pl.Binary]
    joined = columns[0].cast(kind)
    for series in columns[1:]:
        joined = joined.fill_null(series.cast(kind))
    return joined


def _is_exact(series: pl.Series) -> bool:
    """Whether a double can hold each of these integers."""
    most = series.abs().max()
    return most is None or (isinstance(most, int) and 0 <= most <= 1 << 53)


def _given(numbers: npt.NDArray[np.float64], missing: tuple[float, ...]) -> Mask:
    """Which numbers are numbers, and do not stand for a missing one."""
    given: Mask = numbers == numbers  # noqa: PLR0124 - NaN is not
    for value in missing:
        given &= numbers != value
    return given


def _series(column: Column, values: Ints, extents: Any, doubtful: dict[int, str]) -> pl.Series:
    valid = extents >= 0
    if column.kind in {"string", "bytes"}:
        return _text(column, values, extents, valid, doubtful)
    if column.kind == "boolean":
        return _arrow(column.path, pa.int64(), values, valid).cast(pl.Boolean)
    if column.kind == "enum":
        valid &= (values >= 0) & (values < len(column.symbols))
        for row in np.flatnonzero((extents >= 0) & ~valid).tolist() if column.cursor == 0 else ():
            doubtful[row] = f"the packet has a value of {column.path} its schema does not have"
        index = _arrow("", pa.int64(), values, valid)
        return pl.Series(column.path, list(column.symbols), pl.String).gather(index)
    series = _arrow(column.path, pa.int64(), values, valid)
    if column.kind == "date":
        return series.clip(-719_162, 2_932_896).cast(pl.Int32).cast(pl.Date)
    unit = _UNITS.get(column.kind)
    return series.cast(pl.Datetime("us", "UTC")) if unit == "us" else _millis(series) if unit else series


def _millis(series: pl.Series) -> pl.Series:
    return series.cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("us", "UTC"))


def to_series(name: str, numbers: npt.NDArray[np.float64], valid: Mask) -> pl.Series:
    """Numbers as a column, null where not valid."""
    return _arrow(name, pa.float64(), numbers, valid)


def _arrow(name: str, kind: pa.DataType, data: Any, valid: Mask) -> pl.Series:
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    array = pa.Array.from_buffers(kind, data.size, [bits, pa.py_buffer(np.ascontiguousarray(data))])
    return pl.Series(name, pl.from_arrow(array))


def _text(column: Column, addresses: Ints, extents: Any, valid: Mask, doubtful: dict[int, str]) -> pl.Series:
    from broker.decode import kernel  # noqa: PLC0415 - as above

    lengths = np.where(valid, extents, 0).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    data = np.empty(int(offsets[-1]), np.uint8)
    kernel.gather(addresses, offsets, data)
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [bits, pa.py_buffer(offsets), pa.py_buffer(data)]
    if column.kind == "bytes":
        return pl.Series(column.path, pl.from_arrow(pa.Array.from_buffers(pa.large_binary(), addresses.size, buffers)))
    array = pa.Array.from_buffers(pa.large_string(), addresses.size, buffers)
    try:
        array.validate(full=True)  # polars trusts that text is UTF-8
    except pa.ArrowInvalid:
        items = pa.Array.from_buffers(pa.large_binary(), addresses.size, buffers).to_pylist()
        return pl.Series(column.path, [_decoded(row, item, column, doubtful) for row, item in enumerate(items)], pl.String)
    return pl.Series(column.path, pl.from_arrow(array))


def _decoded(row: int, item: bytes | None, column: Column, doubtful: dict[int, str]) -> str | None:
    if item is None:
        return None
    try:
        return item.decode()
    except UnicodeDecodeError:
        if column.cursor == 0:
            doubtful[row] = f"the packet's {column.path} is not UTF-8"
        return None
