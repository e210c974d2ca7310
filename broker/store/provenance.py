"""Where each alert came from and where its bytes are, as columns beside the frame."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from broker.record import Record
from broker.store.archive import Address

__all__ = ["provenance"]


def provenance(frame: pl.DataFrame, records: Sequence[Record], addresses: Sequence[Address]) -> pl.DataFrame:
    """Origin, receipt and archive address of each row.

    Parameters
    ----------
    frame
        With ``_record`` (index into `records`) and, where a record can hold several alerts, ``_unit``.
    records
        Of the batch.
    addresses
        One a record, or none at all where nothing is archived.

    Returns
    -------
    DataFrame
        As many rows: ``topic, partition, offset, unit, received`` (microseconds, UTC: when our log had the record),
        ``archive_file, archive_offset, archive_length``.

    Raises
    ------
    ValueError
        There are addresses, but not one a record.
    """
    if addresses and len(addresses) != len(records):
        message = f"{len(addresses)} archive addresses for {len(records)} records"
        raise ValueError(message)
    whole = pl.DataFrame(
        {
            "topic": [record.topic for record in records],
            "partition": [record.partition for record in records],
            "offset": [record.offset for record in records],
            "received": [record.timestamp * 1000 for record in records],
            "archive_file": [address.file for address in addresses] or [None] * len(records),
            "archive_offset": [address.offset for address in addresses] or [None] * len(records),
            "archive_length": [address.length for address in addresses] or [None] * len(records),
        },
        schema={
            "topic": pl.String,
            "partition": pl.Int32,
            "offset": pl.Int64,
            "received": pl.Int64,
            "archive_file": pl.String,
            "archive_offset": pl.Int64,
            "archive_length": pl.Int64,
        },
    )
    unit = frame["_unit"] if "_unit" in frame.columns else pl.zeros(frame.height, pl.UInt32, eager=True)
    return whole[frame["_record"]].with_columns(unit.cast(pl.Int32).alias("unit"))
