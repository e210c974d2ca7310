"""Survey times (JD or MJD; UTC, TAI, TT or TDB) as UTC, leap seconds included.

Instants are integer microseconds since 1970-01-01T00:00:00 UTC, as in ``datetime64[us]``. A leap second itself has no number
there: instants within it fall on the first second after it.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import erfa
import numpy as np
import numpy.typing as npt

__all__ = ["SCALES", "Format", "Scale", "jd_to_datetime", "mjd_to_datetime", "to_micros", "to_mjd_utc"]

Scale = Literal["utc", "tai", "tt", "tdb"]
Format = Literal["jd", "mjd"]
SCALES: tuple[str, ...] = ("utc", "tai", "tt", "tdb")

_DAY_US = 86_400_000_000
_MJD_OF_EPOCH = 40_587
_JD_OF_EPOCH = 2_440_587.5
_TT_MINUS_TAI_US = 32_184_000

Floats = npt.NDArray[np.float64]
Micros = npt.NDArray[np.int64]


@cache
def _leaps() -> tuple[Micros, Micros]:
    """Instants from which TAI - UTC holds, in TAI, and TAI - UTC itself, both in microseconds; from 1972 on.

    The table is the one astropy keeps current through ``erfa.leap_seconds``.
    """
    table = erfa.leap_seconds.get()
    table = table[table["year"] >= 1972]
    months = [f"{row['year']:04d}-{row['month']:02d}" for row in table]
    utc = np.array(months, dtype="datetime64[us]").astype(np.int64)
    offset = np.rint(table["tai_utc"] * 1e6).astype(np.int64)
    return utc + offset, offset


def _tai_to_utc(micros: Micros) -> Micros:
    steps, offsets = _leaps()
    # Before 1972 UTC ran at another rate; the first whole offset is within seconds of it.
    which = np.maximum(np.searchsorted(steps, micros, side="right") - 1, 0)
    return micros - offsets[which]


def _tdb_minus_tt(micros: Micros) -> Micros:
    """TDB - TT in microseconds, to some 10 us (Astronomical Almanac, section B)."""
    days = micros / _DAY_US - 10_957.5  # since J2000
    anomaly = np.radians(357.53 + 0.985_600_28 * days)
    seconds = 0.001_658 * np.sin(anomaly) + 0.000_014 * np.sin(2.0 * anomaly)
    return np.rint(seconds * 1e6).astype(np.int64)


def to_micros(days: npt.ArrayLike, form: Format, scale: Scale) -> tuple[Micros, npt.NDArray[np.bool_]]:
    """Instants of Julian dates.

    Parameters
    ----------
    days
        JD or MJD, any shape; a JD in double precision is good to 40 us, an MJD to 1 us.
    form, scale
        What `days` are counted from, and in which time scale.

    Returns
    -------
    micros, good
        Microseconds since 1970 UTC, and whether each is a time at all: NaN, infinity and years outside 1 to 9999 are not, and
        give 0.
    """
    values = np.asarray(days, dtype=np.float64)
    epoch = _JD_OF_EPOCH if form == "jd" else float(_MJD_OF_EPOCH)
    with np.errstate(invalid="ignore"):
        good = np.isfinite(values) & (values - epoch > -719_162.0) & (values - epoch < 2_932_896.0)
    since = np.where(good, values, epoch)
    # Whole days apart from their fraction: the product with 8.64e10 would cost the last digits of the microsecond.
    whole = np.floor(since)
    micros = (whole - np.floor(epoch)).astype(np.int64) * _DAY_US
    micros += np.rint((since - whole - (epoch - np.floor(epoch))) * _DAY_US).astype(np.int64)
    if scale == "tdb":
        micros = micros - _tdb_minus_tt(micros)
    if scale in {"tdb", "tt"}:
        micros = micros - _TT_MINUS_TAI_US
    if scale != "utc":
        micros = _tai_to_utc(micros)
    return np.where(good, micros, 0), good


def jd_to_datetime(jd: npt.ArrayLike, scale: Scale = "utc") -> npt.NDArray[np.datetime64]:
    """UTC of Julian dates as ``datetime64[us]``, NaT where there is none; see `to_micros`."""
    micros, good = to_micros(jd, "jd", scale)
    return np.where(good, micros.astype("datetime64[us]"), np.datetime64("NaT"))


def mjd_to_datetime(mjd: npt.ArrayLike, scale: Scale = "utc") -> npt.NDArray[np.datetime64]:
    """UTC of modified Julian dates as ``datetime64[us]``, NaT where there is none; see `to_micros`."""
    micros, good = to_micros(mjd, "mjd", scale)
    return np.where(good, micros.astype("datetime64[us]"), np.datetime64("NaT"))


def to_mjd_utc(days: npt.ArrayLike, form: Format, scale: Scale) -> Floats:
    """Modified Julian dates, UTC, of `days`; NaN where `to_micros` finds no time."""
    micros, good = to_micros(days, form, scale)
    return np.where(good, micros / _DAY_US + _MJD_OF_EPOCH, np.nan)
