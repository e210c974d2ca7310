"""Where the Sun and the Moon stand, seen from the middle of the Earth, to half an arcminute, with nothing to fetch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import erfa
import numpy as np

__all__ = ["moon", "sun"]

_TT_MINUS_UTC: Final = 69.184 / 86_400.0
"""Days, since 2017; before, it was less, which moves the Moon by seconds of arc."""
_J2000: Final = 2_451_545.0


def _tt(time: datetime) -> float:
    moment = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    return (moment - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86_400.0 + _TT_MINUS_UTC


def _degrees(vector: object) -> tuple[float, float]:
    x, y, z = np.asarray(vector, np.float64)
    return float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


def sun(time: datetime) -> tuple[float, float]:
    """Right ascension and declination of the Sun in degrees, ICRS, at a time in UTC."""
    heliocentric, _ = erfa.epv00(_J2000, _tt(time))
    return _degrees(-np.asarray(heliocentric["p"]))


def moon(time: datetime) -> tuple[float, float]:
    """Right ascension and declination of the Moon in degrees, ICRS, at a time in UTC."""
    return _degrees(erfa.moon98(_J2000, _tt(time))["p"])
