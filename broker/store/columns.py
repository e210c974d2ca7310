"""The frames, kept as Parquet: written a batch at a time, read as one lazy frame.

What is kept are the columns of the batch without private ones and histories, and where each row came from and its packet is,
under ``nuncius.`` names. Columns come and go with the filters that want them: one that a file does not have is null there.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from broker.alert import COMMON, SKYMAPS_DTYPE, Batch
from broker.errors import StoreUnavailableError, UsageError
from broker.store import made
from broker.store.archive import Address
from broker.store.provenance import provenance
from broker.store.segments import Piece, Segment, listing, night_of, resolve, write_file
from broker.telemetry import get_logger

__all__ = ["PROVENANCE", "read_pieces", "scan", "timed", "write_segment"]

log = get_logger(__name__)

PROVENANCE: dict[str, pl.DataType | type[pl.DataType]] = {
    "nuncius.topic": pl.String,
    "nuncius.partition": pl.Int32,
    "nuncius.offset": pl.Int64,
    "nuncius.unit": pl.Int32,
    "nuncius.received": pl.Datetime("us", "UTC"),
    "nuncius.archive_file": pl.String,
    "nuncius.archive_offset": pl.Int64,
    "nuncius.archive_length": pl.Int64,
}
"""Columns that lead from a row to its record in the log and its packet in the archive."""

_ALWAYS = COMMON | PROVENANCE
_GROWN = {"skymaps": SKYMAPS_DTYPE}  # older files have fewer fields
_ATTEMPTS = 3  # a file can be merged away between the listing and the reading


def write_segment(
    root: Path,
    batch: Batch,
    addresses: Sequence[Address] = (),
    *,
    durable: bool = True,
    looked_for: Collection[str] = (),
) -> list[Path]:
    """Keep a batch's rows, in one file a partition; a batch done again replaces what it wrote before.

    Parameters
    ----------
    root
        Folder of the frames.
    batch
        After the last step.
    addresses
        One a record, or none.
    durable
        Wait for the disk.
    looked_for
        Packet fields that were looked for: those that no packet has are remembered as such.

    Returns
    -------
    list of Path
        Files written; none for a batch without rows.

    Raises
    ------
    StoreUnavailableError
        The disk is full or away.
    """
    if batch.frame.is_empty():
        return []
    frame = _kept(batch, addresses)
    names = frozenset(name for name in (*batch.frame.columns, *looked_for) if name not in COMMON and _lasting(name))
    stamp = time.time_ns()
    written: list[Path] = []
    bounds = _bounds(batch)
    numbers = {place: number for number, place in enumerate(bounds)}
    place_of = np.fromiter((numbers[record.place] for record in batch.records), np.int64, len(batch.records))
    owner = place_of[batch.frame["_record"].to_numpy()]
    for number, ((topic, partition), (first, last, received)) in enumerate(bounds.items()):
        rows = frame if len(bounds) == 1 else frame[np.flatnonzero(owner == number)]
        if rows.is_empty():
            continue
        folder = root / f"stream={batch.stream}" / f"night={night_of(received * 1000)}"
        path = Segment(folder, topic, partition, first, last, stamp).path
        try:
            write_file(rows, path, durable=durable, metadata=made.metadata([(first, last, names)]))
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be written ({error}): it will be tried again") from error
        written.append(path)
    return written


def scan(
    root: Path,
    streams: Collection[str] | None = None,
    columns: Sequence[str] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    since: str = "",
) -> pl.LazyFrame:
    """All rows kept, each once; nothing but names and types is read before it is collected.

    Parameters
    ----------
    streams
        Only these; all where not given.
    columns
        Only these, in this order.
    start, end
        Half-open window of the alerts' time; one without a time counts by its receipt.
    since
        Only what was received from this night on, ``YYYY-MM-DD``.

    Returns
    -------
    LazyFrame
        The common columns, `PROVENANCE`, and whatever else some file has, null where a file lacks it.

    Raises
    ------
    UsageError
        No file has such a column.
    """
    for attempt in range(_ATTEMPTS):
        pieces, _ = resolve(listing(root, streams, since))
        try:
            frame = read_pieces(pieces)
            break
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
    frame = timed(frame, start, end)
    if columns is None:
        return frame
    known = frame.collect_schema().names()
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise UsageError(f"no frame has a column {unknown[0]!r}: name it in a filter to have it decoded from then on")
    return frame.select(columns)


def timed(frame: pl.LazyFrame, start: datetime | None, end: datetime | None) -> pl.LazyFrame:
    """Rows of a half-open window of the alerts' time; one without a time counts by its receipt."""
    for edge, keep in ((start, pl.Expr.ge), (end, pl.Expr.lt)):
        if edge is not None:
            when = pl.col("time")
            frame = frame.filter(keep(when, edge) | (when.is_null() & keep(pl.col("nuncius.received"), edge)))
    return frame


def read_pieces(pieces: Sequence[Piece]) -> pl.LazyFrame:
    """Rows of pieces as one lazy frame with the columns of all of them.

    Where files disagree on a column's type, numbers widen and anything else becomes text.
    """
    schemas = {piece: schema for piece in pieces if (schema := _schema(str(piece.segment.path))) is not None}
    union = _union(schemas.values())
    alike: defaultdict[tuple[tuple[str, pl.DataType], ...], list[Piece]] = defaultdict(list)
    for piece, schema in schemas.items():
        departing = tuple((name, dtype) for name, dtype in schema.items() if dtype != union[name])
        alike[departing].append(piece)
    frames: list[pl.LazyFrame] = []
    for departing, group in alike.items():
        expected = union | dict(departing)
        paths = [piece.segment.path for piece in group if not piece.hidden]
        read = [_read(paths, expected)] if paths else []
        read += [_read([piece.segment.path], expected).filter(_shown(piece)) for piece in group if piece.hidden]
        casts = [pl.col(name).cast(union[name], strict=False) for name, _ in departing]
        frames += [frame.with_columns(casts) for frame in read] if casts else read
    return pl.concat(frames) if frames else pl.LazyFrame(schema=union)


def _kept(batch: Batch, addresses: Sequence[Address]) -> pl.DataFrame:
    """The batch's frame as it is kept: columns without a single value are not, but for the common ones."""
    frame = batch.frame
    names = [name for name in frame.columns if name in COMMON or (_lasting(name) and frame[name].null_count() < frame.height)]
    source = provenance(frame, batch.records, addresses)
    return frame.select(names).hstack(
        source.select(source[name.removeprefix("nuncius.")].cast(dtype).alias(name) for name, dtype in PROVENANCE.items())
    )


def _lasting(name: str) -> bool:
    return not name.startswith(("_", "history."))


def _bounds(batch: Batch) -> dict[tuple[str, int], tuple[int, int, int]]:
    """First and last offset of each partition's records, and when the first was received (ms)."""
    bounds: dict[tuple[str, int], tuple[int, int, int]] = {}
    for record in batch.records:
        first, last, received = bounds.get(record.place, (record.offset, record.offset, record.timestamp))
        if record.offset < first:
            first, received = record.offset, record.timestamp
        bounds[record.place] = (first, max(last, record.offset), received)
    return bounds


@lru_cache(maxsize=65_536)
def _schema(path: str) -> Mapping[str, pl.DataType] | None:
    """Names and types of a file, which never change; ``None`` where it cannot be read."""
    try:
        return dict(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        log.error("file of frames is left out: it cannot be read", file=path, error=str(error))  # noqa: TRY400
        return None


def _union(schemas: Collection[Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    union: dict[str, pl.DataType] = {name: pl.Series(dtype=dtype).dtype for name, dtype in _ALWAYS.items()}
    for schema in schemas:
        for name, dtype in schema.items():
            known = union.get(name, dtype)
            if name in _GROWN:
                union[name] = pl.Series(dtype=_GROWN[name]).dtype
            elif known == dtype:
                union[name] = dtype
            elif name not in _ALWAYS:
                union[name] = _wider(known, dtype)
    return union


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one.is_integer() and other.is_integer():
        return pl.Int64()
    numeric = all(dtype.is_numeric() or dtype == pl.Boolean for dtype in (one, other))
    return pl.Float64() if numeric else pl.String()


def _read(paths: Sequence[Path], schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    return pl.scan_parquet(list(paths), schema=dict(schema), missing_columns="insert", glob=False, hive_partitioning=False)


def _shown(piece: Piece) -> pl.Expr:
    offset = pl.col("nuncius.offset")
    return ~pl.any_horizontal(*(offset.is_between(first, last) for first, last in piece.hidden))
