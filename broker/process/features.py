"""Step: features of the light curve that a packet carries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from broker.alert import BANDS, HISTORY, Batch, Step
from broker.science.lightcurve import FEATURES, FEATURES_OF_BAND, Current, History, features_of_band
from broker.science.lightcurve import features as measured

__all__ = ["COLUMNS", "PREFIX", "features", "needs"]

PREFIX: Final = "lightcurve."
_WHOLE: Final = {f"{PREFIX}{name}": pl.Int64 if name == "n_det" else pl.Float64 for name in FEATURES}
_OF_BANDS: Final = {
    f"{PREFIX}{name}.{band}": (number, place)
    for number, band in enumerate(BANDS)
    for place, name in enumerate(FEATURES_OF_BAND)
}
"""Band and place among `FEATURES_OF_BAND` by column."""
COLUMNS: Final = {**_WHOLE, **{name: pl.Float64 if place else pl.Int64 for name, (_, place) in _OF_BANDS.items()}}
"""Columns the step can add, with their types: ``lightcurve.rate``, and in one band ``lightcurve.rate.g``."""

_UNKNOWN: Final = 255
_DAY: Final = 86_400e6  # microseconds
_MJD_OF_EPOCH: Final = 40_587.0


def needs(wanted: Collection[str]) -> frozenset[str]:
    """Columns that have to be decoded for the features that somebody wants: the history, or nothing."""
    return frozenset(HISTORY) if any(name.startswith(PREFIX) for name in wanted) else frozenset()


def features(wanted: Collection[str]) -> Step:
    """Step that adds the wanted ones of `COLUMNS`; without any it does nothing.

    Null where it cannot be told; where the stream has no history, the alert itself is all there is.
    """
    columns = [name for name in COLUMNS if name in wanted]
    whole = [name for name in columns if name in _WHOLE]
    bands = sorted({_OF_BANDS[name][0] for name in columns if name in _OF_BANDS})

    def step(batch: Batch) -> Batch:
        if not columns:
            return batch
        current, history = _current(batch.frame), _history(batch.frame)
        found: dict[str, npt.NDArray[np.float64]] = {}
        if whole:
            table = measured(history, current, g=BANDS.index("g"), r=BANDS.index("r"))
            found |= {name: table[:, place] for place, name in enumerate(_WHOLE)}
        for band in bands:
            table = features_of_band(history, current, band)
            found |= {name: table[:, place] for name, (number, place) in _OF_BANDS.items() if number == band}
        undated = np.isnan(current.time)
        added = [pl.Series(name, np.where(undated, np.nan, found[name])).fill_nan(None).cast(COLUMNS[name]) for name in columns]
        return replace(batch, frame=batch.frame.with_columns(added))

    return step


def _current(frame: pl.DataFrame) -> Current:
    bands = frame["band"].replace_strict({name: i for i, name in enumerate(BANDS)}, default=_UNKNOWN, return_dtype=pl.UInt8)
    return Current(
        (frame["time"].dt.epoch("us").cast(pl.Float64) / _DAY + _MJD_OF_EPOCH).fill_null(np.nan).to_numpy(),
        frame["mag"].fill_null(np.nan).to_numpy(),
        bands.fill_null(_UNKNOWN).to_numpy(),
        frame["positive"].fill_null(value=True).to_numpy(),
    )


def _history(frame: pl.DataFrame) -> History:
    if any(name not in frame.columns for name in ("history.time", "history.mag", "history.band")):
        none = np.zeros(frame.height, np.int64)
        return History(none, none, np.empty(0), np.empty(0), np.empty(0, np.uint8), np.empty(0, np.bool_))
    start, length = _extents(frame["history.time"])
    time, mag = (_values(frame[name], np.nan, np.float64) for name in ("history.time", "history.mag"))
    band = _values(frame["history.band"], _UNKNOWN, np.uint8)
    if "history.positive" in frame.columns:
        positive = _values(frame["history.positive"], True, np.bool_)
    else:
        positive = np.ones(time.size, np.bool_)
    if not time.size == mag.size == band.size == positive.size:
        message = f"history columns of {time.size}, {mag.size}, {band.size} and {positive.size} values"
        raise AssertionError(message)  # the compiled loop would read beyond the end
    return History(start, length, time, mag, band, positive)


def _arrow(column: pl.Series) -> pa.LargeListArray:
    return column.rechunk().to_arrow()


def _extents(column: pl.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each row's values begin among those of all rows, and how many they are."""
    offsets = _arrow(column).offsets.to_numpy().astype(np.int64)
    length = column.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    return offsets[:-1] - offsets[0], length


def _values(column: pl.Series, missing: float, dtype: type[Any]) -> npt.NDArray[Any]:
    lists = _arrow(column)
    first, last = lists.offsets[0].as_py(), lists.offsets[-1].as_py()
    values = lists.values[first:last]
    if values.null_count:
        values = values.fill_null(missing)
    return np.asarray(values.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)
