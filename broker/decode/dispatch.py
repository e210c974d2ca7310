"""Which decoder a stream's records go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from broker.alert import COMMON, PRIVATE, Batch, Rejection
from broker.decode.declaration import Declaration
from broker.decode.notices import decode_notices
from broker.decode.schemas import SchemaSource
from broker.decode.sniff_avro import nearest
from broker.decode.survey import decode_survey
from broker.record import Record, header
from broker.topics import COINCIDENCE_STREAM, HEADER_OVERSIZE

__all__ = ["STAGE", "decode"]

STAGE = "decode"
NOTICE_STREAMS = frozenset({"gcn", "lvk", "voevent", "skymap", COINCIDENCE_STREAM})
NOTHING_KNOWN = (
    "not an alert of any kind known: neither a declared survey's packet nor a GCN, LVK or VOEvent notice nor a sky map; "
    "where it should be one, is it whole?"
)


def decode(
    stream: str,
    records: Sequence[Record],
    wanted: frozenset[str],
    declarations: Mapping[str, Declaration],
    schemas: SchemaSource,
) -> Batch:
    """Records of one stream as a batch.

    Parameters
    ----------
    wanted
        Packet fields to decode beside the common columns.
    declarations
        The survey streams; notices need none.
    schemas
        Where writer schemas come from.

    Returns
    -------
    Batch
        What cannot be read is among its rejections; this raises for faults that pass only.
    """
    kept_whole = [number for number, record in enumerate(records) if header(record, HEADER_OVERSIZE) is None]
    if len(kept_whole) < len(records):
        return _without_oversize(stream, records, kept_whole, wanted=wanted, declarations=declarations, schemas=schemas)
    if stream in declarations:
        return decode_survey(declarations[stream], records, schemas, wanted)
    if stream in NOTICE_STREAMS:
        return decode_notices(stream, records, wanted)
    reasons = tuple(Rejection(number, _why(record.value, declarations), STAGE) for number, record in enumerate(records))
    empty = pl.DataFrame(schema={**COMMON, "_record": PRIVATE["_record"], "_unit": PRIVATE["_unit"]})
    return Batch(stream, tuple(records), empty, len(records), reasons)


def _why(data: bytes, declarations: Mapping[str, Declaration]) -> str:
    near = nearest(data, declarations)
    return f"{NOTHING_KNOWN} {near}" if near else NOTHING_KNOWN


def _without_oversize(
    stream: str,
    records: Sequence[Record],
    whole: Sequence[int],
    *,
    wanted: frozenset[str],
    declarations: Mapping[str, Declaration],
    schemas: SchemaSource,
) -> Batch:
    """The batch of the records that are whole, its indices turned back to those of all records, and the others rejected."""
    batch = decode(stream, [records[number] for number in whole], wanted, declarations, schemas)
    places = np.asarray(whole, dtype=np.uint32)
    back = pl.Series("_record", places[batch.frame["_record"].to_numpy()], dtype=pl.UInt32)
    rejected = tuple(replace(rejection, record=whole[rejection.record]) for rejection in batch.rejected)
    oversize = tuple(
        Rejection(number, header(record, HEADER_OVERSIZE) or "", STAGE)
        for number, record in enumerate(records)
        if header(record, HEADER_OVERSIZE) is not None
    )
    return Batch(
        stream,
        tuple(records),
        batch.frame.with_columns(back),
        batch.received + len(oversize),
        rejected + oversize,
    )
