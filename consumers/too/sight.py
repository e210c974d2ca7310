"""When a target can be observed within a rule's limits, and which limit stands in the way where it cannot."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from consumers.sites import Site
from consumers.too.checks import Check
from consumers.too.request import stamp
from consumers.too.rules import Limits

__all__ = ["Sight", "look"]

_STEP = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Sight:
    """The first window that is long enough, UTC; or why there is none.

    Parameters
    ----------
    checks
        Of each limit: its worst value in the window; where there is none, its best in the time looked at.
    """

    start: datetime | None
    end: datetime | None
    checks: tuple[Check, ...]
    reason: str = ""


def look(site: Site, ra: float, dec: float, limits: Limits, *, now: datetime, hours: float | None, needed: float) -> Sight:
    """Find when a target can be observed.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS.
    hours
        How far to look; ``None``: to the end of the night under way, else of the next.
    needed
        Seconds that the window must last.

    Notes
    -----
    Limits are held against each minute. Moonlight counts only while the Moon is above the horizon; the distance from the Moon
    always, as portals count it (``rise_set`` of Las Cumbres): a window that they do not see would be asked for in vain.
    """
    from astropy.time import Time  # noqa: PLC0415 - it takes a second, which --check and --help need not

    from consumers import night  # noqa: PLC0415

    if hours is None:
        dark = night.tonight(site, Time(now), limits.max_sun_altitude)
        if dark is None:
            check = Check("sun_altitude", None, limits.max_sun_altitude, passed=False)
            return Sight(None, None, (check,), f"no night at {site.name}: the Sun stays above {limits.max_sun_altitude:g} deg")
        start, end = max(now, _utc(dark[0])), _utc(dark[1])
    else:
        start, end = now, now + timedelta(hours=hours)
    if (end - start).total_seconds() < needed:
        check = Check("seconds", (end - start).total_seconds(), needed, passed=False)
        return Sight(None, None, (check,), f"{needed:g} s do not fit in what is left of the night until {stamp(end)}")
    times = night.grid(Time(start), Time(end), _STEP)
    rows = _rows(site, ra, dec, limits, times)
    good = rows[0].good
    for row in rows[1:]:
        good = good & row.good
    seconds = (times - times[0]).sec
    for first, last in _runs(good):
        if seconds[last] - seconds[first] >= needed:
            checks = tuple(row.check(slice(first, last + 1)) for row in rows)
            return Sight(_at(start, seconds[first]), _at(start, seconds[last]), checks)
    return _nowhere(rows, good, start, end, needed)


@dataclass(frozen=True, slots=True)
class _Row:
    """A limit along the time looked at; `sign` is 1 where more is better."""

    name: str
    values: Any
    bound: float
    sign: int
    good: Any

    def check(self, part: slice | None) -> Check:
        """The worst value in a part, or the best of all."""
        values = self.sign * (self.values if part is None else self.values[part])
        value = self.sign * float(values.max() if part is None else values.min())
        good = bool(self.good.any()) if part is None else True
        return Check(self.name, value if math.isfinite(value) else None, self.bound, passed=good)


def _rows(site: Site, ra: float, dec: float, limits: Limits, times: Any) -> list[_Row]:
    from consumers import night  # noqa: PLC0415

    altitude, sun = night.altitude(site, ra, dec, times), night.sun_altitude(site, times)
    rows = [
        _Row("sun_altitude", sun, limits.max_sun_altitude, -1, sun <= limits.max_sun_altitude),
        _Row("altitude", altitude, limits.min_altitude, 1, altitude >= limits.min_altitude),
    ]
    if limits.max_airmass is not None:
        airmass = night.airmass(altitude)
        rows.append(_Row("airmass", airmass, limits.max_airmass, -1, airmass <= limits.max_airmass))
    if limits.min_moon_separation is not None:
        apart = night.moon_separation(site, ra, dec, times)
        rows.append(_Row("moon_separation", apart, limits.min_moon_separation, 1, apart >= limits.min_moon_separation))
    if limits.max_moon_illumination is not None:
        lit = night.moon_illumination(times) * (night.moon_altitude(site, times) > 0.0)
        rows.append(_Row("moon_illumination", lit, limits.max_moon_illumination, -1, lit <= limits.max_moon_illumination))
    return rows


def _runs(good: Any) -> list[tuple[int, int]]:
    """First and last index of each run of true ones."""
    runs: list[tuple[int, int]] = []
    begin: int | None = None
    for number, one in enumerate([*good.tolist(), False]):
        if one and begin is None:
            begin = number
        elif not one and begin is not None:
            runs.append((begin, number - 1))
            begin = None
    return runs


def _nowhere(rows: list[_Row], good: Any, start: datetime, end: datetime, needed: float) -> Sight:
    checks = tuple(row.check(None) for row in rows)
    span = f"between {stamp(start)} and {stamp(end)}"
    never = [check for check in checks if not check.passed]
    if never:
        said = ", ".join(f"{check.name} reaches {check.said} where {check.bound:g} is the bound" for check in never)
        return Sight(None, None, checks, f"not to be observed {span}: {said}")
    longest = max((last - first for first, last in _runs(good)), default=0) * _STEP
    check = Check("seconds", longest, needed, passed=False)
    if not good.any():
        said = ", ".join(f"{row.name} for {row.good.sum() * _STEP / 60:.0f} min" for row in rows)
        return Sight(None, None, (*checks, check), f"not to be observed {span}: its limits are never met all at once ({said})")
    return Sight(None, None, (*checks, check), f"observable for {longest:g} s at most {span}, and {needed:g} s are needed")


def _utc(time: Any) -> datetime:
    found = time.utc.to_datetime(timezone=UTC)
    assert isinstance(found, datetime)
    return found


def _at(start: datetime, seconds: float) -> datetime:
    return start + timedelta(seconds=float(seconds))
