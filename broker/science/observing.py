"""What an observer sees of directions at given times, over whole columns: right to some arcseconds, with nothing to fetch.

Times are UTC, taken for UT1 as well, which is off by a second at most: 15 arcseconds of the sky's turning. No refraction.
"""

from __future__ import annotations

from typing import Final

import erfa
import numpy as np
import numpy.typing as npt

from broker.science.sites import Site

__all__ = ["DARK", "altitude", "highest", "moon_separation", "sun_separation", "visible"]

Floats = npt.NDArray[np.float64]

DARK: Final = -12.0
"""Degrees: with the Sun lower it is night (nautical)."""

_J2000: Final = 2_451_545.0
_MJD_OF_J2000: Final = 51_544.5
_TT_MINUS_UTC: Final = 69.184 / 86_400.0  # days, since 2017; before, it was less, which moves the Moon by seconds of arc
_LIGHT: Final = 173.144_632_674  # au a day
_TURNS: Final = 1.002_737_909_35  # of the Earth a day
_STEP: Final = 1.0 / 360.0  # days between the instants that are looked at


def sun_separation(mjd: Floats, towards: Floats) -> Floats:
    """Angle between directions and the Sun, degrees.

    Parameters
    ----------
    mjd : ndarray, shape (n,)
        UTC; NaN gives NaN.
    towards : ndarray, shape (n, 3)
        ICRS unit vectors.
    """
    return _separation(_at_times(_sun, mjd), towards)


def moon_separation(mjd: Floats, towards: Floats) -> Floats:
    """Angle between directions and the Moon as seen from the middle of the Earth, degrees: a site sees it up to 1 degree off.

    Parameters
    ----------
    mjd, towards
        As `sun_separation`.
    """
    return _separation(_at_times(_moon, mjd), towards)


def altitude(mjd: Floats, towards: Floats, site: Site) -> Floats:
    """How high directions stand at a site, degrees, without refraction.

    Parameters
    ----------
    mjd, towards
        As `sun_separation`.
    """
    vectors, turned = _of_date(mjd, towards)
    return _altitude(vectors, turned + np.radians(site.longitude), site)


def highest(mjd: Floats, towards: Floats, site: Site) -> Floats:
    """How high a direction comes to stand at a site, in the dark, in the 24 hours from a time on: degrees.

    Minus infinity where it does not become dark.

    Parameters
    ----------
    mjd, towards
        As `sun_separation`.
    """
    found = np.full(mjd.size, np.nan)
    known = np.flatnonzero(np.isfinite(mjd))
    times, place = np.unique(mjd[known], return_inverse=True)
    steps = np.arange(0.0, 1.0, _STEP)
    for number, time in enumerate(times):  # alerts of an exposure share theirs
        rows = known[place == number]
        vectors, turned = _of_date(np.full(rows.size, time), towards[rows])
        angles = turned[0] + np.radians(site.longitude) + 2.0 * np.pi * _TURNS * steps
        ends, _ = _of_date(np.full(2, time), _sun(np.array([time, time + 1.0])))
        suns = ends[0] + (ends[1] - ends[0]) * steps[:, None]
        night = angles[_altitude(suns / np.linalg.norm(suns, axis=1, keepdims=True), angles, site) < DARK]
        found[rows] = _altitude(vectors[:, None, :], night[None, :], site).max(axis=1) if night.size else -np.inf
    return found


def visible(mjd: Floats, towards: Floats, site: Site, lowest: float) -> npt.NDArray[np.bool_]:
    """Whether a direction stands at least so high at a site, in the dark, at some instant of the 24 hours from a time on.

    Parameters
    ----------
    mjd, towards
        As `sun_separation`.
    lowest
        Degrees.
    """
    return np.asarray(highest(mjd, towards, site) >= lowest, np.bool_)


def _tt(mjd: Floats) -> Floats:
    return mjd - _MJD_OF_J2000 + _TT_MINUS_UTC


def _sun(mjd: Floats) -> Floats:
    heliocentric, _ = erfa.epv00(_J2000, _tt(mjd))
    away = -np.asarray(heliocentric["p"], np.float64)
    return np.asarray(away / np.linalg.norm(away, axis=-1, keepdims=True), np.float64)


def _moon(mjd: Floats) -> Floats:
    away = np.asarray(erfa.moon98(_J2000, _tt(mjd))["p"], np.float64)
    return np.asarray(away / np.linalg.norm(away, axis=-1, keepdims=True), np.float64)


def _at_times(body: object, mjd: Floats) -> Floats:
    """Where a body is at each time, found once for those that are the same; NaN for NaN."""
    assert callable(body)
    vectors = np.full((mjd.size, 3), np.nan)
    known = np.isfinite(mjd)
    times, place = np.unique(mjd[known], return_inverse=True)
    if times.size:
        vectors[known] = body(times)[place]
    return vectors


def _separation(one: Floats, other: Floats) -> Floats:
    """``2 atan2(|u - v|, |u + v|)`` (Kahan 2006)."""
    apart = np.linalg.norm(one - other, axis=1), np.linalg.norm(one + other, axis=1)
    return np.asarray(np.degrees(2.0 * np.arctan2(*apart)), np.float64)


def _of_date(mjd: Floats, towards: Floats) -> tuple[Floats, Floats]:
    """Directions in the true equator and equinox of date, with aberration; Greenwich's apparent sidereal time in radians."""
    vectors, turned = np.full((mjd.size, 3), np.nan), np.full(mjd.size, np.nan)
    known = np.isfinite(mjd)
    times, place = np.unique(mjd[known], return_inverse=True)
    if times.size:
        _, barycentric = erfa.epv00(_J2000, _tt(times))
        speed = np.asarray(barycentric["v"], np.float64) / _LIGHT
        moved = towards[known] + speed[place]
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        matrices = np.asarray(erfa.pnm00b(_J2000, _tt(times)), np.float64)
        vectors[known] = np.einsum("nij,nj->ni", matrices[place], moved)
        turned[known] = np.asarray(erfa.gst00b(_J2000, times - _MJD_OF_J2000), np.float64)[place]
    return vectors, turned


def _altitude(vectors: Floats, sidereal: Floats, site: Site) -> Floats:
    """Altitude in degrees of directions of date at local sidereal times, radians."""
    latitude = np.radians(site.latitude)
    level, high = np.cos(latitude), np.broadcast_to(np.sin(latitude), sidereal.shape)
    up = np.stack([level * np.cos(sidereal), level * np.sin(sidereal), high], axis=-1)
    return np.asarray(np.degrees(np.arcsin(np.clip((vectors * up).sum(axis=-1), -1.0, 1.0))), np.float64)
