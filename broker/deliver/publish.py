"""Alerts as the records of ``alerts.<stream>`` and ``matched.<filter>``.

A batch's columns are turned into arrays once; one compiled loop then writes the records of every topic from them. On
``alerts.*`` the annotations are all the scalar columns beside the common ones that are not null. On ``matched.*`` they are what
the filter selects, nulls included, or all if it selects nothing; common columns are fields of the record and not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from broker import topics
from broker.alert import COMMON, HISTORY, PRIVATE, SKYMAPS_DTYPE, Batch
from broker.deliver import kernel, packing
from broker.deliver.packing import Operation, Packed, ints
from broker.deliver.schema import alert_schema_id, framing
from broker.errors import ExpressionError
from broker.filtering.definition import FilterSpec
from broker.filtering.expression import compile_output
from broker.record import Headers, Message
from broker.store.archive import Address
from broker.telemetry import get_logger

__all__ = ["CONTENT_TYPE", "computed_columns", "encode", "encode_matches"]

_log = get_logger(__name__)

CONTENT_TYPE = b"application/vnd.confluent.avro"
_REQUIRED = {"alert_id", "stream"}
_NULL = b"\x00"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which operations make up which part of a record."""

    common: list[int]
    annotations: dict[str, int]
    chosen: dict[str, list[int]]
    skymaps: int
    filters: int
    archive: list[int]
    owners: dict[str, int]
    maps: dict[str, int]
    every_map: int
    map_end: int


@dataclass(frozen=True, slots=True)
class _Ready:
    """A batch ready to be written."""

    batch: Batch
    packed: Packed
    layout: _Layout
    ids: list[bytes]
    keys: list[bytes]


def encode(
    batch: Batch, filters: Sequence[FilterSpec], addresses: Sequence[Address], *, schema_id: int | None = None
) -> list[Message]:
    """Messages for every alert of a batch and every match.

    Parameters
    ----------
    batch
        After the last step.
    filters
        Those of `Batch.matches`, at least.
    addresses
        Of `Batch.records`, one each.
    schema_id
        For the Confluent framing; the newest of ours unless given.

    Returns
    -------
    One message an alert, in order, then one a match, filter by filter.
    """
    if not batch.frame.height:
        return []
    ready, specs = _prepared(batch, filters, addresses, schema_id)
    messages = list(_alerts(ready))
    for spec in specs:
        messages.extend(_matches(spec, ready))
    return messages


def encode_matches(
    batch: Batch, filters: Sequence[FilterSpec], addresses: Sequence[Address], headers: Headers = ()
) -> list[Message]:
    """Messages for every match of a batch and no alerts, as `encode` has them, with more headers."""
    if not batch.frame.height:
        return []
    ready, specs = _prepared(batch, filters, addresses, None)
    return [message for spec in specs for message in _matches(spec, ready, headers)]


def _prepared(
    batch: Batch, filters: Sequence[FilterSpec], addresses: Sequence[Address], schema_id: int | None
) -> tuple[_Ready, list[FilterSpec]]:
    by_name = {spec.name: spec for spec in filters}
    specs = [by_name[name] for name, rows in batch.matches.items() if len(rows)]
    frame, computed = computed_columns(batch.frame, specs)
    frame = frame.with_columns(_addresses(frame, addresses))
    operations, layout = _operations(
        frame, batch, specs, computed, framing(alert_schema_id() if schema_id is None else schema_id)
    )
    packed = packing.pack(frame, operations)
    ids = frame["alert_id"].cast(pl.Binary).to_list()
    keys = frame.select(pl.coalesce("object_id", "alert_id").cast(pl.Binary)).to_series().to_list()
    return _Ready(batch, packed, layout, ids, keys), specs


def _alerts(ready: _Ready) -> Iterator[Message]:
    layout = ready.layout
    order = [*layout.common, layout.every_map, *layout.annotations.values(), layout.map_end]
    order += [layout.skymaps, layout.filters, *layout.archive]
    rows = np.arange(len(ready.ids), dtype=np.int64)
    data, places = packing.records(ready.packed, np.array(order, dtype=np.int64), rows)
    topic, kind, at = topics.alerts(ready.batch.stream), (topics.HEADER_CONTENT_TYPE, CONTENT_TYPE), places.tolist()
    for key, alert_id, first, last in zip(ready.keys, ready.ids, at, at[1:], strict=False):
        yield Message(topic, data[first:last] + _NULL, key, ((topics.HEADER_ALERT_ID, alert_id), kind))


def _matches(spec: FilterSpec, ready: _Ready, more: Headers = ()) -> Iterator[Message]:
    batch, layout = ready.batch, ready.layout
    rows = np.ascontiguousarray(batch.matches[spec.name], dtype=np.int64)
    order = [*layout.common, layout.maps[spec.name], *layout.chosen[spec.name], layout.map_end]
    order += [layout.skymaps, layout.owners[spec.name], *layout.archive]
    data, places = packing.records(ready.packed, np.array(order, dtype=np.int64), rows, keep_nulls=bool(spec.select))
    topic, at = topics.matched(spec.name), places.tolist()
    fixed = (
        (topics.HEADER_FILTER, spec.name.encode()),
        (topics.HEADER_FILTER_VERSION, str(spec.version).encode()),
        (topics.HEADER_CONTENT_TYPE, CONTENT_TYPE),
        *more,
    )
    records = batch.frame["_record"].to_list() if spec.packet else []
    for row, first, last in zip(rows.tolist(), at, at[1:], strict=False):
        tail = _packet(batch.records[records[row]].value) if spec.packet else _NULL
        yield Message(topic, data[first:last] + tail, ready.keys[row], ((topics.HEADER_ALERT_ID, ready.ids[row]), *fixed))


def _packet(value: bytes) -> bytes:
    return b"\x02" + packing.long(len(value)) + value


def computed_columns(frame: pl.DataFrame, specs: Sequence[FilterSpec]) -> tuple[pl.DataFrame, dict[tuple[str, str], str]]:
    """The frame with a column for each value a filter selects, and its name by filter and selected name.

    What is a column already is taken as it is; what cannot be made is null and logged.
    """
    made: dict[tuple[str, str], str] = {}
    by_sql: dict[str, tuple[str, FilterSpec]] = {}
    for spec in specs:
        for chosen in spec.select:
            plain = chosen.sql.replace('"', "")
            if chosen.name in COMMON:
                continue
            if plain not in frame.columns:
                plain, _ = by_sql.setdefault(chosen.sql, (f"_select{len(by_sql)}", spec))
            made[spec.name, chosen.name] = plain
    return _outputs(frame, by_sql), made


def _outputs(frame: pl.DataFrame, by_sql: Mapping[str, tuple[str, FilterSpec]]) -> pl.DataFrame:
    """The frame with the selected values; all at once where they can be, or else one by one."""
    schema = tuple(frame.schema.items())
    try:
        return frame.with_columns(_compiled(sql, schema).alias(name) for sql, (name, _) in by_sql.items())
    except (ExpressionError, pl.exceptions.PolarsError):
        return frame.with_columns(_output(frame, spec, sql).alias(name) for sql, (name, spec) in by_sql.items())


@lru_cache(256)
def _compiled(sql: str, schema: tuple[tuple[str, pl.DataType], ...]) -> pl.Expr:
    return compile_output(sql, dict(schema), lenient=True).expr


def _output(frame: pl.DataFrame, spec: FilterSpec, sql: str) -> pl.Series:
    try:
        return frame.with_columns(_compiled(sql, tuple(frame.schema.items())).alias("value"))["value"]
    except (ExpressionError, pl.exceptions.PolarsError) as error:
        _log.error("selected value failed", filter=spec.name, select=sql, reason=str(error))
        return pl.Series([None] * frame.height, dtype=pl.String)


def _addresses(frame: pl.DataFrame, addresses: Sequence[Address]) -> list[pl.Series]:
    where = frame["_record"]
    return [
        pl.Series([address.file for address in addresses], dtype=pl.String).gather(where).alias("_file"),
        pl.Series([address.offset for address in addresses], dtype=pl.Int64).gather(where).alias("_offset"),
        pl.Series([address.length for address in addresses], dtype=pl.Int64).gather(where).alias("_length"),
    ]


def _operations(
    frame: pl.DataFrame, batch: Batch, specs: Sequence[FilterSpec], computed: Mapping[tuple[str, str], str], head: bytes
) -> tuple[list[Operation], _Layout]:
    operations: list[Operation] = []

    def add(operation: Operation) -> int:
        operations.append(operation)
        return len(operations) - 1

    dtypes = frame.schema
    common = [
        add(
            packing.field(name, dtypes[name], head if name == "alert_id" else b"")
            if name in _REQUIRED
            else packing.nullable(name, dtypes[name])
        )
        for name in COMMON
    ]
    skip = {*COMMON, *HISTORY, *PRIVATE, "skymaps"}
    named = {name: packing.entry(name, name, dtypes[name]) for name in dtypes if name not in skip and not name.startswith("_")}
    annotations = {name: add(operation) for name, operation in named.items() if operation is not None}
    chosen = {pair: packing.entry(pair[1], column, dtypes[column]) for pair, column in computed.items()}
    selected = {pair: add(operation) for pair, operation in chosen.items() if operation is not None}
    own: dict[str, list[int]] = {spec.name: [] for spec in specs}
    for (owner, _), index in selected.items():
        own[owner].append(index)
    for spec in specs:
        if not spec.select:
            own[spec.name] = list(annotations.values())
    blobs = {spec.name: _filter_record(spec) for spec in specs}
    archive = [("_file", b"\x02"), ("_offset", b""), ("_length", b""), ("_unit", b"")]
    return operations, _Layout(
        common=common,
        annotations=annotations,
        chosen=own,
        skymaps=add(_skymaps(frame)),
        filters=add(_filters(frame.height, batch, blobs)),
        archive=[add(packing.field(name, dtypes[name], before)) for name, before in archive],
        owners={name: add(packing.constant(b"\x02" + blob + _NULL)) for name, blob in blobs.items()},
        maps={name: add(Operation(kernel.MAP, entries=len(indices))) for name, indices in own.items()},
        every_map=add(Operation(kernel.MAP, entries=len(annotations))),
        map_end=add(Operation(kernel.MAP_END)),
    )


def _filter_record(spec: FilterSpec) -> bytes:
    name = spec.name.encode()
    return packing.long(len(name)) + name + packing.long(spec.version)


def _bounds(lengths: ints) -> ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def _filters(height: int, batch: Batch, blobs: Mapping[str, bytes]) -> Operation:
    """Array of the filters that picked each alert."""
    rows = [batch.matches[name] for name in blobs]
    who = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
    flat = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    by_row = np.argsort(flat, kind="stable")
    written = list(blobs.values())
    lengths = np.array([len(written[index]) for index in who[by_row]], dtype=np.int64)
    counts = np.bincount(flat, minlength=height).astype(np.int64)
    return packing.array(b"".join(written[index] for index in who[by_row]), _bounds(lengths)[_bounds(counts)], counts)


def _skymaps(frame: pl.DataFrame) -> Operation:
    """Array of the live sky maps that hold each alert."""
    if frame.schema.get("skymaps") != SKYMAPS_DTYPE:
        return packing.array(b"", np.zeros(frame.height + 1, dtype=np.int64), np.zeros(frame.height, dtype=np.int64))
    counts = frame["skymaps"].list.len().fill_null(0).cast(pl.Int64).to_numpy()
    held = frame["skymaps"].filter(pl.Series(counts > 0)).explode().struct.unnest()
    packed = packing.pack(held, [packing.nullable(name, dtype) for name, dtype in held.schema.items()])
    data, places = packing.records(packed, np.arange(held.width, dtype=np.int64), np.arange(held.height, dtype=np.int64))
    return packing.array(data, places[_bounds(counts)], counts)
