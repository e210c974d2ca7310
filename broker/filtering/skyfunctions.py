"""Functions of the sky and of time, as Polars expressions over whole columns.

Directions are ICRS unit vectors, so that separations keep their precision from microarcseconds to the antipode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from broker.filtering.like import like_to_regex

__all__ = [
    "Vector",
    "direction",
    "ecliptic_latitude",
    "event_level",
    "galactic_latitude",
    "galactic_longitude",
    "in_cone",
    "jd",
    "mjd",
    "separation",
    "skymap",
    "vector",
]

Vector = tuple[pl.Expr, pl.Expr, pl.Expr]

# Rows of the rotations ICRS -> Galactic (IAU 1958 in Hipparcos's realisation) and ICRS -> mean ecliptic of J2000 (IAU 2006),
# as astropy 8 gives them for Galactic and BarycentricMeanEcliptic(equinox="J2000").
_GALACTIC = (
    (-0.05487565771259168, -0.8734370519556163, -0.4838350736167155),
    (0.4941094371927275, -0.44482972122329517, 0.7469821839866676),
    (-0.8676661375596587, -0.19807633727300075, 0.4559838136873016),
)
_ECLIPTIC_POLE = (-1.0207044725484357e-07, -0.39777699944404304, 0.9174821299149556)

_MJD_OF_EPOCH = 40587.0
_JD_OF_MJD = 2400000.5
_ARCSECOND = math.radians(1.0 / 3600.0)


def vector(ra: pl.Expr, dec: pl.Expr) -> Vector:
    """Unit vector towards a position in degrees."""
    a, d = ra.radians(), dec.radians()
    return d.cos() * a.cos(), d.cos() * a.sin(), d.sin()


def direction(ra: float, dec: float) -> Vector:
    """Unit vector towards a position in degrees that is written out."""
    a, d = math.radians(ra), math.radians(dec)
    x, y, z = (pl.lit(part) for part in (math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)))
    return x, y, z


def _dot(a: Vector, b: Sequence[float]) -> pl.Expr:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _norm(a: Vector, b: Vector, sign: float) -> pl.Expr:
    x, y, z = (one + sign * other for one, other in zip(a, b, strict=True))
    return (x * x + y * y + z * z).sqrt()


def separation(u: Vector, v: Vector) -> pl.Expr:
    """Angle between two directions, degrees: ``2 atan2(|u - v|, |u + v|)`` (Kahan 2006)."""
    return (2.0 * pl.arctan2(_norm(u, v, -1.0), _norm(u, v, 1.0))).degrees()


def in_cone(here: Vector, center: tuple[float, float], radius: float) -> pl.Expr:
    """True within `radius` degrees of `center` (degrees).

    The cosine is compared, good to a few microarcseconds from one arcsecond up; below that the chord is.
    """
    a, d, r = math.radians(center[0]), math.radians(center[1]), math.radians(min(max(radius, 0.0), 180.0))
    axis = (math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d))
    if r > _ARCSECOND:
        return _dot(here, axis) >= math.cos(r)
    x, y, z = (pl.lit(part) for part in axis)
    return _norm(here, (x, y, z), -1.0) <= 2.0 * math.sin(r / 2.0)


def galactic_latitude(here: Vector) -> pl.Expr:
    """Galactic latitude b, degrees."""
    return _dot(here, _GALACTIC[2]).clip(-1.0, 1.0).arcsin().degrees()


def galactic_longitude(here: Vector) -> pl.Expr:
    """Galactic longitude l, degrees from 0 to 360."""
    angle = pl.arctan2(_dot(here, _GALACTIC[1]), _dot(here, _GALACTIC[0])).degrees()
    return pl.when(angle < 0).then(angle + 360.0).otherwise(angle)


def ecliptic_latitude(here: Vector) -> pl.Expr:
    """Latitude above the mean ecliptic of J2000, degrees."""
    return _dot(here, _ECLIPTIC_POLE).clip(-1.0, 1.0).arcsin().degrees()


def mjd(time: pl.Expr) -> pl.Expr:
    """Modified Julian Date, UTC."""
    return time.dt.epoch("us") / 86_400e6 + _MJD_OF_EPOCH


def jd(time: pl.Expr) -> pl.Expr:
    """Julian Date, UTC."""
    return mjd(time) + _JD_OF_MJD


def event_level(maps: pl.Expr, event: str) -> pl.Expr:
    """Credible level of the alert in the live map of the event of that name; null in none."""
    entry = pl.element()
    return maps.list.eval(entry.filter(entry.struct.field("event") == event).struct.field("credible_level")).list.first()


def skymap(maps: pl.Expr, field: str, pattern: str | None = None) -> pl.Expr:
    """Field of the live map, of those whose event is like `pattern`, in which the alert lies deepest; null in none."""
    entry = pl.element()
    if pattern is not None:
        entry = entry.filter(entry.struct.field("event").str.contains(like_to_regex(pattern)))
    deepest = entry.sort_by(entry.struct.field("credible_level")).first()
    return maps.list.eval(deepest.struct.field(field)).list.first()
