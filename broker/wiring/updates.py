"""Messages for those who were told of an alert before: its record again, as the sky maps are now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from broker import topics
from broker.alert import PRIVATE, Batch
from broker.deliver.publish import encode_matches
from broker.errors import NunciusError
from broker.filtering.definition import FilterSpec
from broker.record import Headers, Message, Record
from broker.store.archive import Address, Archive
from broker.telemetry import UPDATES, get_logger
from broker.wiring.parts import Parts

__all__ = ["RESCORED", "RETRACTED", "tell"]

log = get_logger(__name__)

RESCORED, RETRACTED = "rescored", "retracted"


def tell(
    parts: Parts, pairs: pl.DataFrame, rows: pl.DataFrame, filters: Sequence[FilterSpec], *, event: tuple[str, int], update: str
) -> list[Message]:
    """Records of alerts on the topics of filters, marked as updates.

    Parameters
    ----------
    pairs
        ``filter, alert_id``.
    rows
        The alerts, as `broker.wiring.recent` reads them.
    event
        Name and revision of the event on whose account.
    update
        `RESCORED` or `RETRACTED`.
    """
    event_name, revision = event
    if pairs.is_empty():
        return []
    found = pairs.join(rows.with_row_index("row").select("row", "alert_id"), on="alert_id", how="left", maintain_order="left")
    lost = found["row"].null_count()
    if lost:
        log.warning("alerts cannot be told again: their frames are gone", event_name=event_name, update=update, alerts=lost)
        found = found.filter(pl.col("row").is_not_null())
    told: dict[str, list[int]] = {}
    for name, row in found.select("filter", "row").iter_rows():
        told.setdefault(name, []).append(row)
    specs = [spec for spec in filters if spec.name in told]
    used = sorted({row for numbers in told.values() for row in numbers})
    place = {row: number for number, row in enumerate(used)}
    matches = {name: np.array([place[row] for row in numbers], np.int64) for name, numbers in told.items()}
    headers: Headers = (
        (topics.HEADER_UPDATE, update.encode()),
        (topics.HEADER_EVENT, event_name.encode()),
        (topics.HEADER_REVISION, str(revision).encode()),
    )
    for name, numbers in told.items():
        UPDATES.labels(name, update).inc(len(numbers))
    batch, addresses = _batch(parts, rows[used], matches, specs)
    return encode_matches(batch, specs, addresses, headers)


def _batch(
    parts: Parts,
    rows: pl.DataFrame,
    matches: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]],
    specs: Sequence[FilterSpec],
) -> tuple[Batch, list[Address]]:
    """The rows as a batch, a record each."""
    archive = rows.select("nuncius.archive_file", "nuncius.archive_offset", "nuncius.archive_length")
    addresses = [Address(file or "", offset or 0, length or 0) for file, offset, length in archive.iter_rows()]
    whole = {int(row) for spec in specs if spec.packet for row in matches[spec.name]}
    values = {row: _packet(parts, addresses[row]) for row in whole}
    origin = rows.select("nuncius.topic", "nuncius.partition", "nuncius.offset", "nuncius.received")
    records = tuple(
        Record(topic, partition, offset, round(received.timestamp() * 1000), None, values.get(number, b""))
        for number, (topic, partition, offset, received) in enumerate(origin.iter_rows())
    )
    frame = rows.with_columns(
        pl.int_range(rows.height, dtype=pl.UInt32).alias("_record"),
        pl.col("nuncius.unit").cast(PRIVATE["_unit"]).alias("_unit"),
    )
    frame = frame.drop(name for name in frame.columns if name.startswith("nuncius."))
    return Batch("", records, frame, rows.height, matches=matches), addresses


def _packet(parts: Parts, address: Address) -> bytes:
    try:
        return Archive(parts.archive_root, "reader").read(address)
    except NunciusError as error:
        log.warning("packet is left out of an update", file=address.file, offset=address.offset, reason=str(error))
        return b""
