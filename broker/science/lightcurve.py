"""Simple features of light curves: arrays in, arrays out.

Magnitudes brighten downwards: a rate below zero is a rise. Detections of the other sign of difference than the alert's own are
counted but not measured: a source fainter than its reference has no magnitude that could be compared.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled

__all__ = ["FEATURES", "FEATURES_OF_BAND", "Current", "History", "features", "features_of_band"]

FEATURES = {
    "n_det": "detections, this one included",
    "age": "days since the first detection",
    "since_last": "days since the detection before",
    "peak_mag": "brightest magnitude in any band, this one included",
    "rate": "magnitudes a day since the latest detection in this band at least 0.02 d before; below zero: brightening",
    "g_r": "g minus r of this detection and the nearest one in the other band, no more than 1 d apart",
}
"""What is measured, in the order of `features`' columns."""

FEATURES_OF_BAND = {
    "n_det": "detections in that band, this one included",
    "rate": "magnitudes a day between the two latest detections in that band at least 0.02 d apart; below zero: brightening",
}
"""What is measured in one band, in the order of `features_of_band`' columns."""

_SHORTEST = 0.02  # days between two detections from which a rate is taken
_COLOUR = 1.0  # days within which two bands make a colour

FloatArray = npt.NDArray[np.float64]


class History(NamedTuple):
    """Earlier detections, those of row i at ``start[i] : start[i] + length[i]`` of the others.

    Times in days on one scale, band as a number, `positive` whether brighter than the reference; NaN where unknown.
    """

    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    time: FloatArray
    mag: FloatArray
    band: npt.NDArray[np.uint8]
    positive: npt.NDArray[np.bool_]


class Current(NamedTuple):
    """The detections themselves, one a row; as in `History`."""

    time: FloatArray
    mag: FloatArray
    band: npt.NDArray[np.uint8]
    positive: npt.NDArray[np.bool_]


def features(history: History, current: Current, *, g: int, r: int) -> FloatArray:
    """Features of each row.

    Parameters
    ----------
    history, current
        What came before, and what came now. Earlier detections later than now, or without a time, are left out.
    g, r
        Numbers of these bands.

    Returns
    -------
    ndarray, shape (n, 6)
        Columns as in `FEATURES`; NaN where it cannot be told.
    """
    return np.asarray(_features(*history, *current, g, r), np.float64)


@compiled
def _features(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    times: FloatArray,
    mags: FloatArray,
    bands: npt.NDArray[np.uint8],
    positives: npt.NDArray[np.bool_],
    now: FloatArray,
    mag: FloatArray,
    band: npt.NDArray[np.uint8],
    positive: npt.NDArray[np.bool_],
    g: int,
    r: int,
) -> FloatArray:
    out = np.full((now.size, 6), np.nan)
    for i in range(now.size):
        count, first, last, peak = 1, now[i], -np.inf, mag[i]
        other = r if band[i] == g else g if band[i] == r else -1
        latest, slope, nearest, colour = -np.inf, np.nan, np.inf, np.nan
        for k in range(start[i], start[i] + length[i]):
            before = now[i] - times[k]
            if not before >= 0.0:
                continue
            count += 1
            first = min(first, times[k])
            last = max(last, times[k])
            if positives[k] != positive[i] or not math.isfinite(mags[k]):
                continue
            if not peak <= mags[k]:
                peak = mags[k]
            if bands[k] == band[i] and before >= _SHORTEST and times[k] > latest:
                latest = times[k]
                slope = (mag[i] - mags[k]) / before
            if bands[k] == other and before <= _COLOUR and before < nearest:
                nearest = before
                colour = mag[i] - mags[k] if band[i] == g else mags[k] - mag[i]
        out[i, 0] = count
        out[i, 1] = now[i] - first
        out[i, 2] = now[i] - last if count > 1 else np.nan
        out[i, 3] = peak
        out[i, 4] = slope
        out[i, 5] = colour
    return out


def features_of_band(history: History, current: Current, band: int) -> FloatArray:
    """Features of each row in one band, whichever the alert's own is.

    Parameters
    ----------
    history, current
        As of `features`.
    band
        Its number.

    Returns
    -------
    ndarray, shape (n, 2)
        Columns as in `FEATURES_OF_BAND`; NaN where it cannot be told. For the alert's own band the rate is that of `features`.
    """
    return np.asarray(_of_band(*history, *current, band), np.float64)


@compiled
def _of_band(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    start: npt.NDArray[np.int64],
    length: npt.NDArray[np.int64],
    times: FloatArray,
    mags: FloatArray,
    bands: npt.NDArray[np.uint8],
    positives: npt.NDArray[np.bool_],
    now: FloatArray,
    mag: FloatArray,
    band: npt.NDArray[np.uint8],
    positive: npt.NDArray[np.bool_],
    wanted: int,
) -> FloatArray:
    out = np.full((now.size, 2), np.nan)
    for i in range(now.size):
        count, latest, bright = 0, -np.inf, np.nan
        if band[i] == wanted:
            count, latest, bright = 1, now[i], mag[i]
        for k in range(start[i], start[i] + length[i]):
            if bands[k] != wanted or not times[k] <= now[i]:
                continue
            count += 1
            if band[i] != wanted and positives[k] == positive[i] and math.isfinite(mags[k]) and times[k] > latest:
                latest = times[k]
                bright = mags[k]
        earlier, slope = -np.inf, np.nan
        for k in range(start[i], start[i] + length[i]):
            if bands[k] != wanted or positives[k] != positive[i] or not math.isfinite(mags[k]):
                continue
            before = latest - times[k]
            if before >= _SHORTEST and times[k] > earlier:
                earlier = times[k]
                slope = (bright - mags[k]) / before
        out[i, 0] = count
        out[i, 1] = slope
    return out
