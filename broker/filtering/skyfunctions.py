"""Functions of the sky and of time, as Polars expressions over whole columns.

Directions are ICRS unit vectors, so that separations keep their precision from microarcseconds to the antipode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from broker.filtering.like import like_to_regex

__all__ = ["ecliptic_latitude", "galactic_latitude", "galactic_longitude", "in_cone", "jd", "mjd", "separation", "skymap"]

Vector = tuple[pl.Expr, pl.Expr, pl.Expr]

# Rows of the rotations ICRS -> Galactic (IAU 1958 in Hipparcos's realisation) and ICRS -> mean ecliptic of J2000 (IAU 2006),
# as astropy 8 gives them for Galactic and BarycentricMeanEcliptic(equinox="J2000").
_GALACTIC = (
    (-0.05487565771259168, -0.8734370519556163, -0.4838350736167155),
    (0.4941094371927275, -0.44482972122329517, 0.7469821839866676),
    (-0.8676661375596587, -0.19807633727300075, 0.4559838136873016),
)
_ECLIPTIC_POLE = (-1.0207044725484357e-07, -0.39777699444043040, 0.9174821299149556)

_MJD_OF_EPOCH = 40587.0
_JD_OF_MJD = 2400000.5


def _vector(ra: pl.Expr, dec: pl.Expr) -> Vector:
    a, d = ra.radians(), dec.radians()
    return d.cos() * a.cos(), d.cos() * a.sin(), d.sin()


def _along(axis: Sequence[float], ra: pl.Expr, dec: pl.Expr) -> pl.Expr:
    x, y, z = _vector(ra, dec)
    return axis[0] * x + axis[1] * y + axis[2] * z


def _norm_squared(a: Vector, b: Vector, sign: float) -> pl.Expr:
    (ax, ay, az), (bx, by, bz) = a, b
    return (ax + sign * bx) ** 2 + (ay + sign * by) ** 2 + (az + sign * bz) ** 2


def separation(ra: pl.Expr, dec: pl.Expr, ra0: pl.Expr, dec0: pl.Expr) -> pl.Expr:
    """Angle between two directions, degrees: ``2 atan2(|u - v|, |u + v|)`` (Kahan 2006)."""
    u, v = _vector(ra, dec), _vector(ra0, dec0)
    half = pl.arctan2(_norm_squared(u, v, -1.0).sqrt(), _norm_squared(u, v, 1.0).sqrt())
    return (2.0 * half).degrees()


def in_cone(ra: pl.Expr, dec: pl.Expr, center: tuple[float, float], radius: float) -> pl.Expr:
    """True within `radius` degrees of `center` (degrees): the chord is compared, exact for the smallest radii."""
    a, d = math.radians(center[0]), math.radians(center[1])
    fixed = (pl.lit(math.cos(d) * math.cos(a)), pl.lit(math.cos(d) * math.sin(a)), pl.lit(math.sin(d)))
    chord_squared = (2.0 * math.sin(math.radians(min(max(radius, 0.0), 180.0)) / 2.0)) ** 2
    return _norm_squared(_vector(ra, dec), fixed, -1.0) <= chord_squared


def galactic_latitude(ra: pl.Expr, dec: pl.Expr) -> pl.Expr:
    """Galactic latitude b, degrees."""
    return _along(_GALACTIC[2], ra, dec).clip(-1.0, 1.0).arcsin().degrees()


def galactic_longitude(ra: pl.Expr, dec: pl.Expr) -> pl.Expr:
    """Galactic longitude l, degrees from 0 to 360."""
    angle = pl.arctan2(_along(_GALACTIC[1], ra, dec), _along(_GALACTIC[0], ra, dec)).degrees()
    return pl.when(angle < 0).then(angle + 360.0).otherwise(angle)


def ecliptic_latitude(ra: pl.Expr, dec: pl.Expr) -> pl.Expr:
    """Latitude above the mean ecliptic of J2000, degrees."""
    return _along(_ECLIPTIC_POLE, ra, dec).clip(-1.0, 1.0).arcsin().degrees()


def mjd(time: pl.Expr) -> pl.Expr:
    """Modified Julian Date, UTC."""
    return time.dt.epoch("us") / 86_400e6 + _MJD_OF_EPOCH


def jd(time: pl.Expr) -> pl.Expr:
    """Julian Date, UTC."""
    return mjd(time) + _JD_OF_MJD


def skymap(maps: pl.Expr, field: str, pattern: str | None = None) -> pl.Expr:
    """Field of the live map, of those whose event is like `pattern`, in which the alert lies deepest; null in none."""
    entry = pl.element()
    if pattern is not None:
        entry = entry.filter(entry.struct.field("event").str.contains(like_to_regex(pattern)))
    deepest = entry.sort_by(entry.struct.field("credible_level")).first()
    return maps.list.eval(deepest.struct.field(field)).list.first()
