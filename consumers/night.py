"""What an observer sees of directions, the Sun and the Moon over a night: right to some arcseconds, with nothing to fetch.

The steps are those of SOFA (`erfa`): annual aberration, IAU 2000B precession-nutation, apparent sidereal time, parallax of Sun
and Moon. No refraction. UT1 is taken to be UTC, which is off by a second of time at most: 15 arcseconds of the sky's turning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import erfa
import numpy as np
import numpy.typing as npt
from astropy.time import Time, TimeDelta

from consumers.sites import Site

__all__ = [
    "airmass",
    "altitude",
    "dark",
    "directions",
    "evening",
    "grid",
    "moon_altitude",
    "moon_illumination",
    "moon_position",
    "moon_separation",
    "noons",
    "stamp",
    "sun_altitude",
    "tonight",
    "windows",
]

Floats = npt.NDArray[np.float64]

_AU: Final = 149_597_870.7  # km
_LIGHT: Final = 173.144_632_674  # au a day
_STEP: Final = 300.0  # seconds between the instants that are looked at
_EXACT: Final = 0.5  # seconds to which crossings are found


class _Frame(NamedTuple):
    """An observer in axes of the GCRS, one row a time: zenith (unit), place (km), speed of the Earth (of light's)."""

    zenith: Floats
    place: Floats
    speed: Floats


def directions(ra: npt.ArrayLike, dec: npt.ArrayLike) -> Floats:
    """Unit vectors of positions in degrees, ICRS, along a last axis of 3."""
    lon, lat = np.broadcast_arrays(np.radians(np.asarray(ra, np.float64)), np.radians(np.asarray(dec, np.float64)))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def altitude(site: Site, ra: npt.ArrayLike, dec: npt.ArrayLike, times: Time) -> Floats:
    """How high positions stand above the horizon, degrees, without refraction.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS. Their shape is broadcast against that of the times: a column ``(m, 1)`` gives ``(m, n)``.
    times
        Shape ``(n,)``, or one time.
    """
    frame = _frame(site, times)
    return _height(_seen(directions(ra, dec), frame.speed), frame.zenith)


def airmass(altitude_deg: npt.ArrayLike) -> Floats:
    """Secant of the zenith distance, as observatories state their limits; infinite at the horizon and below it."""
    sine = np.sin(np.radians(np.asarray(altitude_deg, np.float64)))
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(sine > 0.0, 1.0 / np.maximum(sine, 0.0), np.inf), np.float64)


def sun_altitude(site: Site, times: Time) -> Floats:
    """How high the middle of the Sun stands, degrees, without refraction."""
    frame = _frame(site, times)
    return _height(_seen(_unit(_sun(times) - frame.place), frame.speed), frame.zenith)


def moon_altitude(site: Site, times: Time) -> Floats:
    """How high the middle of the Moon stands, degrees, without refraction."""
    frame = _frame(site, times)
    return _height(_unit(_moon(times) - frame.place), frame.zenith)


def moon_separation(site: Site, ra: npt.ArrayLike, dec: npt.ArrayLike, times: Time) -> Floats:
    """Angle between positions and the Moon as the site sees it, degrees.

    Parameters
    ----------
    ra, dec, times
        As `altitude`.
    """
    frame = _frame(site, times)
    one, other = _seen(directions(ra, dec), frame.speed), _unit(_moon(times) - frame.place)
    apart = np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1)
    return np.asarray(np.degrees(2.0 * np.arctan2(*apart)), np.float64)  # Kahan 2006


def moon_position(site: Site, times: Time) -> tuple[Floats, Floats]:
    """Right ascension and declination of the Moon as the site sees it, degrees, in the axes of the ICRS."""
    x, y, z = np.moveaxis(_unit(_moon(times) - _frame(site, times).place), -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(z))


def moon_illumination(times: Time) -> Floats:
    """Part of the Moon's disc that is lit, 0 to 1, seen from the middle of the Earth (Meeus 1998, chapter 48)."""
    moon, sun = _moon(times), _sun(times)
    back = _unit(-moon), _unit(sun - moon)
    return np.asarray((1.0 + np.sum(back[0] * back[1], axis=-1)) / 2.0, np.float64)


def tonight(site: Site, when: Time, sun_limit: float = -18.0) -> tuple[Time, Time] | None:
    """Begin and end of the night under way at a time, else of the next one; none where the Sun does not go down so far.

    Parameters
    ----------
    sun_limit
        Degrees: it is night with the Sun lower than this; -18 is the end of astronomical twilight.

    Returns
    -------
    tuple or None
        Of the 24 hours from noon to noon that `when` is in; where that night is over, of the next.
    """
    noon, following = noons(site, when)
    for day in ((noon, following), (following, following + TimeDelta(1.0, format="jd"))):
        night = dark(site, day, sun_limit)
        if night is not None and night[1] > when:
            return night
    return None


def dark(site: Site, day: tuple[Time, Time], sun_limit: float = -18.0) -> tuple[Time, Time] | None:
    """Begin and end of the dark between two noons: all of it where the Sun stays below the limit, none where it stays above."""
    found = windows(lambda times: -sun_altitude(site, times), *day, -sun_limit)
    return (found[0][0], found[-1][1]) if found else None


def noons(site: Site, when: Time) -> tuple[Time, Time]:
    """The noons before and after a time, by the mean Sun at the site's longitude."""
    # at 12 h of local mean time the modified Julian date plus longitude / 360 is a half
    noon = np.floor(when.utc.mjd + site.longitude / 360.0 - 0.5) - site.longitude / 360.0 + 0.5
    return Time(noon, format="mjd", scale="utc"), Time(noon + 1.0, format="mjd", scale="utc")


def evening(site: Site, date: str) -> tuple[Time, Time]:
    """The noons before and after the night that begins on the evening of a calendar date at the site."""
    return noons(site, Time(Time(date, scale="utc").mjd + 0.75 - site.longitude / 360.0, format="mjd", scale="utc"))


def stamp(time: Time) -> str:
    """ISO 8601, UTC, to the second."""
    return f"{(time.utc + TimeDelta(0.5, format='sec')).strftime('%Y-%m-%dT%H:%M:%S')}Z"


def grid(start: Time, end: Time, step: float = _STEP) -> Time:
    """Times from one to another, both included, no farther apart than `step` seconds."""
    count = max(1, int(np.ceil((end - start).sec / step)))
    return start + (end - start) * np.linspace(0.0, 1.0, count + 1)


def windows(height: Callable[[Time], Floats], start: Time, end: Time, limit: float) -> list[tuple[Time, Time]]:
    """When something is above a limit: its begins and ends between two times, to half a second.

    Parameters
    ----------
    height
        Of an array of times; what it does within five minutes is taken to be smooth.
    limit
        In the same unit.
    """

    def is_above(seconds: Floats) -> npt.NDArray[np.bool_]:
        return np.asarray(height(start + TimeDelta(seconds, format="sec")) >= limit, np.bool_)

    seconds = _with_peaks(height, grid(start, end), limit)
    above = is_above(seconds)
    edges = np.flatnonzero(np.diff(above.astype(np.int8)))
    crossings = _bisect(is_above, seconds[edges], seconds[edges + 1], above[edges])
    bounds = np.concatenate([seconds[:1][above[:1]], crossings, seconds[-1:][above[-1:]]])
    instants = start + TimeDelta(bounds, format="sec")
    return [(instants[number], instants[number + 1]) for number in range(0, len(bounds), 2)]


def _with_peaks(height: Callable[[Time], Floats], times: Time, limit: float) -> Floats:
    """Seconds from the first of some times, with the tops of parabolas between them where these alone may reach the limit."""
    values, seconds = np.asarray(height(times)), (times - times[0]).sec
    middle = np.flatnonzero((values[1:-1] > values[:-2]) & (values[1:-1] >= values[2:]) & (values[1:-1] < limit)) + 1
    left, right = values[middle] - values[middle - 1], values[middle] - values[middle + 1]
    shift = 0.5 * (left - right) / (left + right) * seconds[1]
    return np.sort(np.concatenate([seconds, seconds[middle] + shift]))


def _bisect(
    is_above: Callable[[Floats], npt.NDArray[np.bool_]], low: Floats, high: Floats, falling: npt.NDArray[np.bool_]
) -> Floats:
    """Seconds at which it comes above in each bracket, or goes below where it was above."""
    while low.size and (high - low).max() > _EXACT:
        middle = (low + high) / 2.0
        same = is_above(middle) == falling
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2.0


def _frame(site: Site, times: Time) -> _Frame:
    tt, utc = times.tt, times.utc
    to_gcrs = np.swapaxes(np.asarray(erfa.pnm00b(tt.jd1, tt.jd2), np.float64), -1, -2)
    turned = np.asarray(erfa.gst00b(utc.jd1, utc.jd2), np.float64)  # apparent sidereal time of Greenwich
    lon, lat = np.radians(site.longitude), np.radians(site.latitude)
    up = directions(site.longitude, site.latitude)
    place = np.asarray(erfa.gd2gc(1, lon, lat, site.height), np.float64) / 1000.0  # WGS84, km
    _, barycentric = erfa.epv00(tt.jd1, tt.jd2)
    speed = np.asarray(barycentric["v"], np.float64) / _LIGHT
    return _Frame(_rotated(to_gcrs, turned, up), _rotated(to_gcrs, turned, place), speed)


def _rotated(to_gcrs: Floats, turned: Floats, fixed: Floats) -> Floats:
    """A vector fixed to the Earth, at each time in axes of the GCRS."""
    cos, sin = np.cos(turned), np.sin(turned)
    vector = np.stack([cos * fixed[0] - sin * fixed[1], sin * fixed[0] + cos * fixed[1], np.full_like(cos, fixed[2])], axis=-1)
    return np.asarray(np.einsum("...ij,...j->...i", to_gcrs, vector), np.float64)


def _seen(towards: Floats, speed: Floats) -> Floats:
    """Directions with annual aberration, to first order in the speed: a milliarcsecond."""
    return _unit(towards + speed)


def _height(towards: Floats, zenith: Floats) -> Floats:
    return np.asarray(np.degrees(np.arcsin(np.clip(np.einsum("...i,...i->...", towards, zenith), -1.0, 1.0))), np.float64)


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float64)


def _sun(times: Time) -> Floats:
    """The Sun from the middle of the Earth, km."""
    return -np.asarray(_heliocentric(times)["p"], np.float64) * _AU


def _heliocentric(times: Time) -> Any:
    heliocentric, _ = erfa.epv00(times.tt.jd1, times.tt.jd2)
    return heliocentric


def _moon(times: Time) -> Floats:
    """The Moon from the middle of the Earth, km."""
    return np.asarray(erfa.moon98(times.tt.jd1, times.tt.jd2)["p"], np.float64) * _AU
