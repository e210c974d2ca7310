"""Times as notices write them, to UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from broker.science.times import Scale, to_micros

__all__ = ["from_mjd", "from_tjd", "parse_time"]

_ISO = re.compile(
    r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"
    r"(?:[T ]\s*(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d*))?)?)?"
    r"\s*(?P<zone>Z|z|UTC|[+-]\d{2}:?\d{2})?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MJD_OF_EPOCH = 40_587
_MJD_OF_TJD = 40_000  # TJD = JD - 2440000.5
_GPS_BEHIND_TAI = timedelta(seconds=19)
SCALES: dict[str, Scale] = {
    "UTC": "utc",
    "TT": "tt",
    "TDT": "tt",
    "ET": "tt",
    "TDB": "tdb",
    "TCB": "tdb",
    "TAI": "tai",
    "GPS": "tai",
}
"""Time scale by what a coordinate system's name has; TCB is taken for TDB, from which it is seconds apart."""


def parse_time(text: str | None, scale: str = "UTC") -> datetime | None:
    """UTC of an ISO 8601 time, or ``None`` if it is none.

    Parameters
    ----------
    text
        With ``T`` or a blank, with or without fraction (cut to microseconds) and zone; white space around it does not matter. A
        leap second (``:60``) falls on the first second after it.
    scale
        ``UTC``, ``TT``, ``TDB``, ``TAI`` or ``GPS``; a zone in the text goes with UTC only.
    """
    found = _ISO.fullmatch((text or "").strip())
    if found is None:
        return None
    part = found.groupdict()
    seconds = int(part["S"] or 0)
    try:
        time = datetime(
            int(part["y"]),
            int(part["m"]),
            int(part["d"]),
            int(part["H"] or 0),
            int(part["M"] or 0),
            min(seconds, 59),
            int((part["f"] or "")[:6].ljust(6, "0")),
            tzinfo=_zone(part["zone"]),
        ).astimezone(UTC)
        if seconds > 60:
            return None
        if seconds == 60:
            time = (time + timedelta(seconds=1)).replace(microsecond=0)
        return _to_utc(time, scale)
    except (ValueError, OverflowError):
        return None


def from_tjd(day: int, seconds: float) -> datetime | None:
    """UTC of a truncated Julian day (JD - 2440000.5) and seconds of that day; ``None`` for what cannot be a notice's time."""
    if not (0 < day < 100_000 and 0.0 <= seconds <= 86_401.0):
        return None
    return _EPOCH + timedelta(days=day + _MJD_OF_TJD - _MJD_OF_EPOCH, microseconds=round(seconds * 1e6))


def from_mjd(mjd: float, scale: Scale = "utc") -> datetime | None:
    """UTC of a modified Julian date, or ``None`` if it is none."""
    micros, good = to_micros([mjd], "mjd", scale)
    return _EPOCH + timedelta(microseconds=int(micros[0])) if good[0] else None


def _to_utc(time: datetime, scale: str) -> datetime:
    kind = SCALES[scale.upper()]
    if kind == "utc":
        return time
    if scale.upper() == "GPS":
        time += _GPS_BEHIND_TAI
    if kind == "tdb":  # to the microsecond, which the series of `broker.science.times` is not
        from astropy.time import Time  # noqa: PLC0415 - takes a second to load, and few verbs need it

        return Time(time.replace(tzinfo=None), scale="tdb").utc.to_datetime(timezone=UTC)  # type: ignore[no-any-return]
    mjd = (time - _EPOCH) / timedelta(days=1) + _MJD_OF_EPOCH
    # The offset between the scales, exact, rather than the date itself, whose last digits a float has not.
    there, here = to_micros([mjd], "mjd", kind)[0], to_micros([mjd], "mjd", "utc")[0]
    return time + timedelta(microseconds=int(there[0] - here[0]))


def _zone(text: str | None) -> timezone:
    if not text or text[0] not in "+-":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
