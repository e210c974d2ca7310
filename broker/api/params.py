"""Parameters as people write them: angles in degrees or sexagesimal, times in ISO 8601 or MJD."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from broker.errors import UsageError

__all__ = ["angle_dec", "angle_ra", "in_order", "instant"]

_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_SEXAGESIMAL = re.compile(
    r"^\s*([+-]?)\s*(\d{1,3})\s*(?:[:\s]|([hd°]))\s*(\d{1,2})\s*(?:[:\s'm′]\s*(\d{1,2}(?:\.\d*)?))?\s*[\"s″]?\s*$"  # noqa: RUF001 - primes are what people paste
)


def _sexagesimal(text: str, name: str, unit: str) -> tuple[float, str]:
    match = _SEXAGESIMAL.match(text)
    if match is None:
        message = f"{name}={text!r} is not an angle: give degrees (12.5) or sexagesimal ({unit})"
        raise UsageError(message)
    sign, whole, mark, minutes, seconds = match.groups()
    if int(minutes) >= 60 or float(seconds or 0) >= 60:
        message = f"{name}={text!r}: minutes and seconds of an angle are below 60"
        raise UsageError(message)
    size = int(whole) + int(minutes) / 60 + float(seconds or 0) / 3600
    return (-size if sign == "-" else size), mark or ""


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def angle_ra(text: str) -> float:
    """Right ascension in degrees, from degrees or ``hh:mm:ss``.

    Raises
    ------
    UsageError
        Where it is neither, or outside 0 to 360.

    Examples
    --------
    >>> angle_ra("12:30:00"), angle_ra("187.5")
    (187.5, 187.5)
    """
    value = _number(text)
    if value is None:
        size, mark = _sexagesimal(text, "ra", "hh:mm:ss.s")
        value = size if mark in {"d", "°"} else size * 15
    if not math.isfinite(value) or not 0 <= value <= 360:
        message = f"ra={text!r} is outside 0 to 360 degrees (0 to 24 hours)"
        raise UsageError(message)
    return value % 360


def angle_dec(text: str) -> float:
    """Declination in degrees, from degrees or ``dd:mm:ss``.

    Raises
    ------
    UsageError
        Where it is neither, or outside -90 to 90.

    Examples
    --------
    >>> angle_dec("-00:30:00"), angle_dec("+12.5")
    (-0.5, 12.5)
    """
    value = _number(text)
    if value is None:
        value, _ = _sexagesimal(text, "dec", "+dd:mm:ss.s")
    if not math.isfinite(value) or not -90 <= value <= 90:
        message = f"dec={text!r} is outside -90 to 90 degrees"
        raise UsageError(message)
    return value


def instant(text: str, name: str = "time") -> datetime:
    """Time in UTC, from ISO 8601 (UTC unless it says otherwise) or MJD.

    Raises
    ------
    UsageError
        Where it is neither.

    Examples
    --------
    >>> instant("60000.5").isoformat(), instant("2023-02-25T12:00:00Z").isoformat()
    ('2023-02-25T12:00:00+00:00', '2023-02-25T12:00:00+00:00')
    """
    days = _number(text)
    remedy = "give ISO 8601 (2026-08-17T12:00:00Z) or MJD (61269.5)"
    try:
        if days is not None:
            if not 0 <= days <= 200_000:
                message = f"{name}={text!r} is no MJD between 0 and 200000: {remedy}"
                raise UsageError(message)
            return _MJD_EPOCH + timedelta(days=days)
        # A plus in a query string that nobody encoded arrives as a space.
        time = datetime.fromisoformat(re.sub(r" (\d\d:\d\d)$", r"+\1", text.strip()) if "T" in text else text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"{name}={text!r} is no time: {remedy}"
        raise UsageError(message) from None


def in_order(since: datetime | None, until: datetime | None) -> None:
    """Refuse a window that ends before it begins.

    Raises
    ------
    UsageError
        It does.
    """
    if since is not None and until is not None and since >= until:
        raise UsageError(f"since ({since:%Y-%m-%dT%H:%M:%SZ}) is not before until ({until:%Y-%m-%dT%H:%M:%SZ})")
