"""The earlier measurements a packet carries, flat and as the history columns of `broker.alert`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from broker.alert import BANDS
from broker.decode.columns import Decoded, Ragged
from broker.decode.common import (
    Checked,
    Flags,
    Floats,
    band_of,
    direction,
    items_of,
    magnitudes,
    numbers,
    or_null,
    signs,
)
from broker.decode.declaration import Declaration, History
from broker.science.times import to_mjd_utc

__all__ = ["Entries", "entries", "history_columns"]


def history_columns(declaration: Declaration, decoded: Decoded, checked: Checked, keep: Flags) -> dict[str, pl.Series]:
    """The packet's earlier detections as `broker.alert.HISTORY` has them.

    An entry with neither magnitude nor flux (an upper limit) is none; one of negative flux has no magnitude but stays.
    """
    rows = int(keep.sum())
    item = declaration.history.detections
    ragged = next((decoded.lists[path] for path in item.field if path in decoded.lists), None) if item else None
    if item is None or ragged is None:
        empty = pl.Series([[]], dtype=pl.List(pl.Float64)).new_from_index(0, rows)
        return _as_history(empty, empty, empty, empty, empty)
    owner = np.repeat(np.arange(keep.size), np.diff(ragged.offsets))
    points = entries(declaration, item, ragged)
    t = to_mjd_utc(points.days, declaration.time.format, declaration.time.scale)
    valid = ~np.isnan(t) & points.measured & keep[owner]
    if checked.picked is not None and declaration.element is not None and declaration.element.list in item.field:
        valid[checked.picked[checked.picked >= 0]] = False  # the alert itself
    counts = np.bincount(owner[valid], minlength=keep.size)[keep]
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    pick = pl.Series(valid)

    def listed(series: pl.Series) -> pl.Series:
        return pl.Series(pl.from_arrow(pa.LargeListArray.from_arrays(offsets, series.filter(pick).to_arrow())))

    codes = points.band.replace_strict(list(BANDS), list(range(len(BANDS))), default=255, return_dtype=pl.UInt8)
    return _as_history(
        listed(pl.Series(t)), listed(or_null(points.mag)), listed(or_null(points.mag_err)),
        listed(codes.fill_null(255)), listed(points.positive),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of a list of measurements; NaN and null for none.

    Parameters
    ----------
    days
        As the survey gives its times.
    mag, mag_err, flux, flux_err, limit, noise
        Magnitudes, and the survey's fluxes.
    band, positive
        Name, and brighter than the reference or fainter.
    measured
        Whether there is a magnitude or a flux.
    """

    days: Floats
    mag: Floats
    mag_err: Floats
    flux: Floats
    flux_err: Floats
    limit: Floats
    noise: Floats
    band: pl.Series
    positive: pl.Series
    measured: Flags


def entries(declaration: Declaration, item: History, ragged: Ragged) -> Entries:
    """All entries of a list, flat."""
    fields = items_of(ragged)
    given, flux, flux_err = (numbers(fields, paths) for paths in (item.mag, item.flux, item.flux_err))
    zeropoint = declaration.brightness.zeropoint if item.zeropoint is None else item.zeropoint
    own = numbers(fields, item.zeropoint_field) if item.zeropoint_field else None
    mag, mag_err, bright = magnitudes(given, numbers(fields, item.mag_err), flux, flux_err, zeropoint, own)
    words = fields.with_columns(
        band_of(declaration, fields, item.band).alias("_band"), direction(fields, item.positive).alias("_positive")
    )
    return Entries(
        days=numbers(fields, item.time),
        mag=mag,
        mag_err=mag_err,
        flux=flux,
        flux_err=flux_err,
        limit=numbers(fields, item.limit),
        noise=numbers(fields, item.noise),
        band=words["_band"],
        positive=signs(words["_positive"], given if declaration.brightness.signed else bright),
        measured=~np.isnan(given) | ~np.isnan(flux),
    )


def _as_history(
    time: pl.Series, mag: pl.Series, mag_err: pl.Series, band: pl.Series, positive: pl.Series
) -> dict[str, pl.Series]:
    floats = {"time": time, "mag": mag, "mag_err": mag_err}
    columns = {f"history.{name}": series.cast(pl.List(pl.Float64)) for name, series in floats.items()}
    columns["history.band"] = band.cast(pl.List(pl.UInt8))
    columns["history.positive"] = positive.cast(pl.List(pl.Boolean))
    return {name: series.alias(name) for name, series in columns.items()}
