"""Avro records from columns: a whole visit's alerts are encoded at once, with NumPy and no loop over rows.

Encoding of values: Avro specification 1.12, "Binary encoding" (zig-zag variable-length integers, little-endian floats, union
branch as an integer before the value).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FlatField", "Packed", "flat_fields", "long", "pack", "text", "varint"]

Matrix = npt.NDArray[np.uint8]
_FLOATS = {"float": "<f4", "double": "<f8"}
_INTEGERS = ("int", "long")


@dataclass(frozen=True, slots=True)
class FlatField:
    """One field of a record without arrays or records inside.

    Parameters
    ----------
    kind
        Primitive Avro type.
    branches
        Number of the null and of the value branch; ``None`` where the field is no union.
    """

    name: str
    kind: str
    branches: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Packed:
    """Records one after another, row by row.

    Parameters
    ----------
    data
        Their bytes.
    starts
        Offset of each record, and the end of the last one.
    """

    data: bytes
    starts: npt.NDArray[np.int64]

    def rows(self, first: int, stop: int) -> bytes:
        """Bytes of the rows from `first` up to, but not including, `stop`."""
        return self.data[self.starts[first] : self.starts[stop]]


def flat_fields(record: Mapping[str, Any]) -> tuple[FlatField, ...]:
    """Fields of a parsed Avro record schema that holds primitives and nullable primitives only."""
    return tuple(_flat(field["name"], field["type"]) for field in record["fields"])


def _flat(name: str, kind: Any) -> FlatField:
    branches = None
    if isinstance(kind, list):
        null = kind.index("null")
        branches = (null, 1 - null)
        kind = kind[1 - null]
    return FlatField(name, kind["type"] if isinstance(kind, dict) else kind, branches)


def varint(value: int) -> bytes:
    """Avro ``int`` or ``long`` of one value."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text(value: bytes) -> bytes:
    """Avro ``string`` or ``bytes`` of one value."""
    return varint(len(value)) + value


def long(values: npt.ArrayLike) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Zig-zag variable-length integers: bytes in rows, and which of them count."""
    signed = np.asarray(values, np.int64)
    rest = ((signed << 1) ^ (signed >> 63)).view(np.uint64)
    groups = [rest]
    while (rest := rest >> np.uint64(7)).any():
        groups.append(rest)
    stack = np.stack(groups, axis=1)
    keep = stack > 0
    keep[:, 0] = True
    more = np.zeros_like(keep)
    more[:, :-1] = keep[:, 1:]
    return ((stack & np.uint64(0x7F)) | (more.astype(np.uint64) << np.uint64(7))).astype(np.uint8), keep


def pack(fields: Sequence[FlatField], columns: Mapping[str, Any], rows: int) -> Packed:
    """Encode `rows` records.

    Parameters
    ----------
    fields
        The record's fields, in order.
    columns
        By field name: one value for all rows, or an array with one a row; a masked array's masked rows are null. A field
        without a column is null where it may be, else zero, false or empty.

    Returns
    -------
    Packed
        `rows` records; equal to what ``fastavro.schemaless_writer`` writes one by one.
    """
    pieces: list[Matrix] = []
    keeps: list[npt.NDArray[np.bool_]] = []
    for field in fields:
        for piece, keep in _encode(field, columns.get(field.name), rows):
            pieces.append(np.broadcast_to(piece, (rows, piece.shape[1])))
            keeps.append(np.broadcast_to(keep, (rows, piece.shape[1])))
    matrix, mask = np.concatenate(pieces, axis=1), np.concatenate(keeps, axis=1)
    starts = np.zeros(rows + 1, np.int64)
    np.cumsum(mask.sum(axis=1), out=starts[1:])
    return Packed(matrix[mask].tobytes(), starts)


def _encode(field: FlatField, column: Any, rows: int) -> list[tuple[Matrix, npt.NDArray[np.bool_]]]:
    if column is None and field.branches is not None:
        return [_constant(varint(field.branches[0]))]
    if column is None:
        column = "" if field.kind in ("string", "bytes") else 0
    null = np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else None
    values = column.filled() if isinstance(column, np.ma.MaskedArray) else column
    parts = _values(field.kind, values, rows)
    if field.branches is None:
        return parts
    if null is None:
        return [_constant(varint(field.branches[1])), *parts]
    branch = long(np.where(null, field.branches[0], field.branches[1]))
    return [branch, *((matrix, keep & ~null[:, None]) for matrix, keep in parts)]


def _values(kind: str, values: Any, rows: int) -> list[tuple[Matrix, npt.NDArray[np.bool_]]]:
    if not isinstance(values, np.ndarray):
        return [_constant(_one(kind, values))]
    if kind in _FLOATS:
        data = np.ascontiguousarray(values.astype(_FLOATS[kind]))
        return [_all(data.view(np.uint8).reshape(rows, -1))]
    if kind in _INTEGERS:
        return [long(values)]
    if kind == "boolean":
        return [_all(values.astype(np.uint8).reshape(rows, 1))]
    strings = values.astype(np.bytes_)
    data = strings.view(np.uint8).reshape(rows, -1)
    lengths = np.strings.str_len(strings)
    return [long(lengths), (data, np.arange(data.shape[1]) < lengths[:, None])]


def _one(kind: str, value: str | bytes | float) -> bytes:
    if kind in _FLOATS:
        return struct.pack("<f" if kind == "float" else "<d", value)
    if kind in _INTEGERS:
        return varint(int(value))
    if kind == "boolean":
        return bytes([bool(value)])
    return text(value if isinstance(value, bytes) else str(value).encode())


def _constant(data: bytes) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    return _all(np.frombuffer(data, np.uint8)[None, :])


def _all(matrix: Matrix) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    return matrix, np.ones(matrix.shape, np.bool_)
