"""What the ledger is told of a batch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import Batch
from broker.record import TopicPartition
from broker.store.ledger import Counts, Entry

__all__ = ["entries"]


def entries(decoded: Batch, batch: Batch) -> list[Entry]:
    """Ledger entries of a batch, one a partition.

    Parameters
    ----------
    decoded, batch
        The batch as it came from the decoder, and as it left the last step.
    """
    places: dict[TopicPartition, list[int]] = {}
    for number, record in enumerate(batch.records):
        places.setdefault(record.place, []).append(number)
    count = len(batch.records)
    came = _per_record(decoded.frame["_record"], count) + _per_record((one.record for one in decoded.rejected), count)
    left = _per_record(batch.frame["_record"], count)
    refused = _per_record((one.record for one in batch.rejected), count)
    matched_rows = np.unique(np.concatenate([*batch.matches.values(), np.empty(0, np.int64)])).astype(np.int64)
    matched = _per_record(batch.frame["_record"].gather(matched_rows), count)
    duplicate = came - left - refused
    if int(duplicate.sum()) != batch.duplicates or bool((duplicate < 0).any()):
        message = f"stream {batch.stream}: {batch.duplicates} duplicates counted, {int(duplicate.sum())} rows gone"
        raise AssertionError(message)
    return [
        Entry(
            place.topic,
            place.partition,
            batch.records[numbers[0]].offset,
            batch.records[numbers[-1]].offset,
            batch.stream,
            Counts(*(int(each[numbers].sum()) for each in (came, left, duplicate, refused, matched))),
        )
        for place, numbers in places.items()
    ]


def _per_record(numbers: pl.Series | Iterable[int], records: int) -> npt.NDArray[np.int64]:
    array = numbers.to_numpy() if isinstance(numbers, pl.Series) else np.fromiter(numbers, np.int64)
    return np.bincount(array.astype(np.int64), minlength=records)
