"""The batch: alerts as columns, and the columns every alert has.

Columns are flat; a packet's own fields keep their dotted names (``candidate.rb``), a catalogue's are prefixed with its name
(``gaia.sep``). Columns starting with ``_`` are ours alone: never stored, never published, not to be named in a filter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from broker.record import Record

__all__ = [
    "BANDS",
    "COMMON",
    "EVENT_DTYPE",
    "EVENT_KINDS",
    "HISTORY",
    "NOT_REAL",
    "PRIVATE",
    "SKYMAPS_DTYPE",
    "Batch",
    "Rejection",
    "Step",
    "conform",
    "drop_rows",
]

UTC = pl.Datetime("us", "UTC")

COMMON: dict[str, pl.DataType | type[pl.DataType]] = {
    "alert_id": pl.String,  # <stream>:<native id>
    "stream": pl.String,
    "object_id": pl.String,  # survey object or event name
    "time": UTC,  # trigger time, or the middle of the exposure
    "ra": pl.Float64,  # degrees, ICRS
    "dec": pl.Float64,  # degrees, ICRS
    "ra_dec_error": pl.Float64,  # degrees, radius of the containment_probability region
    "containment_probability": pl.Float64,
    "hpx": pl.Int64,  # HEALPix index, NESTED, order 29
    # survey alerts
    "mag": pl.Float64,  # AB unless the survey says otherwise; of the difference image
    "mag_err": pl.Float64,
    "band": pl.String,
    "reliability": pl.Float64,  # real-bogus score, 0 to 1
    "positive": pl.Boolean,  # brighter than the reference
    # notices, named as in GCN's unified schema
    "event_name": pl.String,
    "messenger": pl.String,  # EM, GW, Neutrino
    "mission": pl.String,
    "instrument": pl.String,
    "alert_type": pl.String,  # initial, subsequent, update, retraction
    "alert_tense": pl.String,  # current, archival, planned, injection, commanded, test
    "far": pl.Float64,  # Hz
    "p_astro": pl.Float64,
    "classification": pl.String,  # the likeliest class
}
"""Columns every alert has, in order, with their types; null where a stream has no such thing."""

HISTORY: dict[str, pl.DataType] = {
    "history.time": pl.List(pl.Float64),  # MJD, UTC
    "history.mag": pl.List(pl.Float64),
    "history.mag_err": pl.List(pl.Float64),
    "history.band": pl.List(pl.UInt8),  # index into BANDS; 255 unknown
    "history.positive": pl.List(pl.Boolean),
}
"""Earlier detections of the object that the packet carries (not the alert itself); present when somebody wants them."""

NOT_REAL = ("test", "injection", "commanded")
"""Values of ``alert_tense`` that stand for nothing on the sky; mock data are ``test``."""

BANDS = ("u", "g", "r", "i", "z", "y", "J", "H", "K", "c", "o", "w", "G", "B", "V", "R", "I", "Y")

EVENT_DTYPE = pl.Struct(
    {
        "names": pl.List(pl.String),  # all the notice has for its event, the one in event_name first
        "refers": pl.List(pl.String),  # of the event of others that it follows up
        "related": pl.List(pl.String),  # of other events that it names beside its own
        "cites": pl.List(pl.String),  # "retraction ivo://...": how, and which VOEvent
        "ivorn": pl.String,
        "issued": UTC,
        "serial": pl.Int64,
        "significant": pl.Boolean,
        "stage": pl.String,  # early_warning, preliminary, initial, update, retracted; null: told by alert_type
        "type": pl.String,
        "search_group": pl.String,  # of a GW event: CBC, Burst
        "search": pl.String,  # that found it: AllSky, EarlyWarning, ...
        "circular": pl.String,  # its number, if it is one
        "subject": pl.String,
        "submitter": pl.String,
    }
)
"""What groups notices into events and puts them in order."""

PRIVATE: dict[str, pl.DataType | type[pl.DataType]] = {
    "_record": pl.UInt32,  # index into Batch.records
    "_unit": pl.UInt32,  # which alert of that record: several can share one container
    "_digest": pl.Binary,  # blake2b-16 of the bytes, notices only: tells a revision from a repeat
    "_skymap": pl.Binary,  # FITS bytes as embedded in a notice
    "_skymap_url": pl.String,
    "_event": EVENT_DTYPE,  # of notices
    "_deviations": pl.String,  # what of a notice departs from its schema, in words
}

SKYMAPS_DTYPE = pl.List(
    pl.Struct(
        {
            "event": pl.String,
            "revision": pl.Int64,
            "credible_level": pl.Float64,  # smallest credible region that holds the alert, 0 to 1
            "density": pl.Float64,  # probability per steradian
            "dt": pl.Float64,  # seconds, alert minus event
            "volume_level": pl.Float64,  # the same in three dimensions, where map and alert have a distance
        }
    )
)


EVENT_KINDS: Mapping[str, str] = {"gw": "gw", "em": "grb", "neutrino": "neutrino"}
"""Prefix of the columns of an event's kind by its messenger in lower case; events of another messenger have none."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An alert, or a whole record, that can never be processed.

    Parameters
    ----------
    record
        Index into `Batch.records`.
    reason
        What is wrong with it, in words.
    stage
        Step that refused it, such as ``decode``.
    unit
        Which alert of the record.
    """

    record: int
    reason: str
    stage: str
    unit: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts of one stream on their way through `process`.

    ``received == frame.height + duplicates + len(rejected)`` holds after every step.

    Parameters
    ----------
    stream
        Its name.
    records
        The log's records the alerts came in, bytes and all.
    frame
        A row an alert: `COMMON`, ``_record`` and ``_unit``, wanted packet fields, annotations.
    received
        Alerts that came in.
    rejected, duplicates
        Those that left on the way.
    matches
        Row numbers of `frame` by filter name.
    """

    stream: str
    records: tuple[Record, ...]
    frame: pl.DataFrame
    received: int
    rejected: tuple[Rejection, ...] = ()
    duplicates: int = 0
    matches: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


Step = Callable[[Batch], Batch]


def conform(frame: pl.DataFrame) -> pl.DataFrame:
    """Frame with every common column, of its right type and in order, before whatever else it has."""
    common = [
        (pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype)).alias(name)
        for name, dtype in COMMON.items()
    ]
    return frame.select(*common, *(name for name in frame.columns if name not in COMMON))


def drop_rows(batch: Batch, drop: npt.NDArray[np.bool_], *, rejected: tuple[Rejection, ...] = (), duplicates: int = 0) -> Batch:
    """Batch without the marked rows, which are accounted for as rejected or duplicate.

    Parameters
    ----------
    drop
        One flag a row; as many are set as ``len(rejected) + duplicates``.
    """
    if int(drop.sum()) != len(rejected) + duplicates:
        message = f"{int(drop.sum())} rows dropped but {len(rejected) + duplicates} accounted for"
        raise AssertionError(message)
    return replace(
        batch,
        frame=batch.frame.filter(pl.Series(~drop)),
        rejected=batch.rejected + rejected,
        duplicates=batch.duplicates + duplicates,
    )
