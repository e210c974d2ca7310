"""Compiled loop that writes Avro records from columns.

A record is a sequence of *operations*, one a column: its bytes before a value (union branch, map key), then the value. Columns
come as two-dimensional arrays, one row a column, so that one compiled function serves every record. Avro 1.11, binary encoding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["ARRAY", "BOOLEAN", "DOUBLE", "LONG", "MAP", "MAP_END", "RAW", "STRING", "space", "varint", "write"]

STRING, RAW, LONG, DOUBLE, BOOLEAN, ARRAY, MAP, MAP_END = range(8)
"""What an operation writes.

``STRING`` length and bytes; ``RAW`` bytes alone; ``ARRAY`` a block of elements already written, then its end; ``MAP`` how many
of the next ``values`` operations are written as its entries, whose end ``MAP_END`` writes.
"""

_Ints = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]


@njit(cache=True, nogil=True, inline="always")
def varint(number: int, out: _Bytes, at: int) -> int:
    """Zigzag variable-length integer."""
    rest = np.uint64((number << 1) ^ (number >> 63))
    while rest >= np.uint64(0x80):
        out[at] = np.uint8((rest & np.uint64(0x7F)) | np.uint64(0x80))
        rest >>= np.uint64(7)
        at += 1
    out[at] = np.uint8(rest)
    return at + 1


@njit(cache=True, nogil=True, inline="always")
def _copy(source: _Bytes, first: int, last: int, out: _Bytes, at: int) -> int:
    for index in range(first, last):
        out[at + index - first] = source[index]
    return at + last - first


@njit(cache=True, nogil=True)
def space(  # noqa: PLR0917  compiled functions are called by position
    order: _Ints, rows: _Ints, kinds: _Ints, values: _Ints, ends: _Ints, prefix_at: _Ints
) -> int:
    """Bytes that `write` can need at most."""
    total = 0
    for op in order:
        prefix = max(prefix_at[op, 1] - prefix_at[op, 0], prefix_at[op, 2] - prefix_at[op, 1])
        total += (prefix + 12) * len(rows)
        if kinds[op] == STRING or kinds[op] == RAW or kinds[op] == ARRAY:
            for row in rows:
                total += ends[op, row] - values[op, row]
    return total


@njit(cache=True, nogil=True)
def write(  # noqa: C901, PLR0912, PLR0917  one loop, called by position: a call a column would cost more than the column
    order: _Ints,
    rows: _Ints,
    kinds: _Ints,
    values: _Ints,
    ends: _Ints,
    valid: npt.NDArray[np.int32],
    text: _Bytes,
    prefixes: _Bytes,
    prefix_at: _Ints,
    keep_nulls: bool,
    out: _Bytes,
) -> _Ints:
    """Write a record for each of `rows`.

    Parameters
    ----------
    order
        Operations of the record, as row numbers of the arrays that follow.
    rows
        Alerts, as column numbers of them.
    kinds
        What each operation writes, shape (operations,).
    values, ends
        Shape (operations, alerts): the number, or the bits of the double; of texts their place in `text`.
    valid
        Same shape: whether there is a value; of ``ARRAY`` the number of elements.
    text
        Bytes of all texts.
    prefixes, prefix_at
        Bytes before a value from ``prefix_at[op, 0]`` to ``[op, 1]``, those in place of a null from there to ``[op, 2]``.
    keep_nulls
        Whether map entries that are null are written.
    out
        As long as `space` says.

    Returns
    -------
    Place of each record in `out` and the end of the last, shape (rows + 1,).
    """
    at = 0
    places = np.empty(len(rows) + 1, dtype=np.int64)
    for number in range(len(rows)):
        row = rows[number]
        places[number] = at
        in_map = 0
        for step in range(len(order)):
            op = order[step]
            kind = kinds[op]
            if kind == MAP:
                in_map = values[op, 0]
                count = 0
                for entry in range(step + 1, step + 1 + in_map):
                    if keep_nulls or valid[order[entry], row] > 0:
                        count += 1
                if count > 0:
                    at = varint(count, out, at)
                continue
            if kind == MAP_END:
                out[at] = 0
                at += 1
                continue
            inside = in_map > 0
            in_map -= 1
            if valid[op, row] == 0 and kind != ARRAY:
                if keep_nulls or not inside:
                    at = _copy(prefixes, prefix_at[op, 1], prefix_at[op, 2], out, at)
                continue
            at = _copy(prefixes, prefix_at[op, 0], prefix_at[op, 1], out, at)
            if kind == DOUBLE:
                bits = np.uint64(values[op, row])
                for byte in range(8):
                    out[at + byte] = np.uint8((bits >> np.uint64(8 * byte)) & np.uint64(0xFF))
                at += 8
            elif kind == LONG:
                at = varint(values[op, row], out, at)
            elif kind == BOOLEAN:
                out[at] = np.uint8(values[op, row])
                at += 1
            elif kind == STRING:
                at = varint(ends[op, row] - values[op, row], out, at)
                at = _copy(text, values[op, row], ends[op, row], out, at)
            elif kind == RAW:
                at = _copy(text, values[op, row], ends[op, row], out, at)
            else:
                if valid[op, row] > 0:
                    at = varint(valid[op, row], out, at)
                    at = _copy(text, values[op, row], ends[op, row], out, at)
                out[at] = 0
                at += 1
    places[len(rows)] = at
    return places
