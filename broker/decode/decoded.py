"""What decoding a batch's spans gives, and the slow way to it."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import fastavro
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.decode.instructions import LEFTOVER, MESSAGES
from broker.decode.ocf import Spans
from broker.decode.weightless import refuse_weightless
from broker.errors import DecodeError

__all__ = ["Decoded", "Ragged", "decode_slowly"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ragged:
    """A list of records in each row.

    Parameters
    ----------
    offsets
        ``offsets[i]:offsets[i + 1]`` are the items of row i.
    fields
        Values of all items by the name of the field in the item.
    """

    offsets: Ints
    fields: dict[str, pl.Series]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Records of one schema, as columns.

    Parameters
    ----------
    frame
        A row a record; columns are named by path.
    source, unit
        By row: index of its packet, and which of that packet's records it is.
    lists
        By path of the list.
    failed
        Reason by packet, for one that could not be read to its end.
    doubtful
        Reason by row, where a wanted value is not what its type allows.
    """

    frame: pl.DataFrame
    source: Ints
    unit: Ints
    lists: dict[str, Ragged]
    failed: dict[int, str]
    doubtful: dict[int, str] = field(default_factory=dict)


def decode_slowly(schema: Any, spans: Spans, wanted: frozenset[str], missing: tuple[float, ...]) -> Decoded:
    """As `broker.decode.columns.decode`, record by record through fastavro: for schemas the kernel cannot run."""
    try:
        refuse_weightless(schema)
    except DecodeError as error:
        raise ValueError(str(error)) from error
    parsed = fastavro.parse_schema(schema, _force=True)
    failed = dict(spans.failed)
    packets: list[tuple[int, int, dict[str, Any]]] = []
    for source, address, size, count in zip(spans.source, spans.address, spans.size, spans.count, strict=True):
        if source in failed and source not in spans.failed:
            continue
        stream = io.BytesIO(ctypes.string_at(int(address), int(size)))
        read: list[Any] = []
        try:
            # Each record takes a byte at least, or its list of fields is empty and there is nothing to read.
            read.extend(fastavro.schemaless_reader(stream, parsed, None) for _ in range(min(int(count), int(size))))
        except Exception as error:  # noqa: BLE001 - fastavro raises whatever it trips over in damaged bytes
            failed[int(source)] = f"the packet cannot be read: {error or type(error).__name__}"
            continue
        if stream.tell() != size or len(read) != count:
            failed[int(source)] = f"the packet {MESSAGES[LEFTOVER]}"
            continue
        start = sum(1 for other, _, _ in packets if other == source)
        packets += [(int(source), start + number, item) for number, item in enumerate(read)]
    rows = [item for _, _, item in packets]
    lists: dict[str, Ragged] = {}
    for path in sorted({name.split("[].")[0] for name in wanted if "[]." in name}):
        held = [[item for item in _at(row, path) or () if isinstance(item, dict)] for row in rows]
        flat = [item for items in held for item in items]
        inner = sorted(name.split("[].")[1] for name in wanted if name.startswith(f"{path}[]."))
        offsets = np.concatenate([[0], np.cumsum([len(items) for items in held])]).astype(np.int64)
        lists[path] = Ragged(offsets, {name: _column(name, (_at(item, name) for item in flat), missing) for name in inner})
    plain = {name: _column(name, (_at(row, name) for row in rows), missing) for name in sorted(wanted) if "[]" not in name}
    return Decoded(
        pl.DataFrame({name: series for name, series in plain.items() if series.dtype != pl.Null}),
        np.array([source for source, _, _ in packets], np.int64),
        np.array([unit for _, unit, _ in packets], np.int64),
        lists,
        failed,
    )


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _column(name: str, values: Iterable[Any], missing: tuple[float, ...]) -> pl.Series:
    items = [None if isinstance(value, (dict, list)) or value != value else value for value in values]  # noqa: PLR0124 - NaN
    items = [None if isinstance(item, float) and item in missing else item for item in items]
    kinds = {type(item) for item in items} - {type(None)}
    if kinds == {int, float}:
        items = [None if item is None else float(item) for item in items]
    elif len(kinds) > 1:
        items = [None if item is None else str(item) for item in items]
    return pl.Series(name, items)
