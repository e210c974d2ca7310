"""Columns of rows of the frames that are not in the frames, made from the packets in the archive."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from broker.alert import PRIVATE
from broker.decode.dispatch import decode
from broker.process import features
from broker.record import Record
from broker.store.archive import Address, Archive
from broker.topics import raw
from broker.wiring.parts import Parts

__all__ = ["from_packets"]


def from_packets(parts: Parts, archive: Archive, stream: str, rows: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """The rows, in their order, with what their packets say.

    Parameters
    ----------
    rows
        Of one stream, with `broker.store.columns.PROVENANCE`.
    names
        Packet fields, and features of the light curve that the packet carries; one that no packet has is left out.
    """
    wanted = frozenset(name for name in names if not name.startswith(features.PREFIX)) | features.needs(names)
    batch = decode(stream, _records(archive, stream, rows), wanted, parts.declarations, parts.schemas)
    if stream in parts.declarations:
        batch = features.features(names)(batch)
    found = batch.frame.select("_record", "_unit", *(name for name in names if name in batch.frame.columns))
    # Rows of a merged file have columns that were made for others of its rows.
    keys = (
        rows.drop(*names, strict=False)
        .with_row_index("_record")
        .with_columns(pl.col("_record").cast(PRIVATE["_record"]), pl.col("nuncius.unit").cast(PRIVATE["_unit"]).alias("_unit"))
    )
    return keys.join(found, on=["_record", "_unit"], how="left", maintain_order="left")


def _records(archive: Archive, stream: str, rows: pl.DataFrame) -> list[Record]:
    places = rows.select("nuncius.archive_file", "nuncius.archive_offset", "nuncius.archive_length").iter_rows()
    return [
        Record(raw(stream), 0, number, 0, None, archive.read(Address(file, offset, length)))
        for number, (file, offset, length) in enumerate(places)
    ]
