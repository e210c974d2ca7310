"""What part of the sky, and of a sky map's probability, some fields of view cover together.

A field is made of HEALPix cells: those wholly inside as they are, those at its edge down to 1/256 of its radius, where the
centre of a cell decides. Areas are right to some 1e-4 so, to 1e-3 at worst. Whatever two fields share counts once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import healpy
import numpy as np
import numpy.typing as npt

from broker.errors import UsageError
from broker.science import moc
from broker.science.outline import outline
from broker.science.sky import CELL_AREA, ORDER, cell_width, merge_ranges
from broker.science.skymap import SkyMap

__all__ = ["Covered", "Field", "check", "covered", "deep_enough", "depth_steps", "field_ranges", "middle"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ACROSS: Final = 256  # cells across the radius of a field
_SQUARE_DEGREES: Final = CELL_AREA * float(np.degrees(1.0)) ** 2
_MOST_STEPS: Final = 40  # limits told of a unit: each takes a union of fields, and anybody may report any limit
_FLUX_STEPS: Final = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Field:
    """Where somebody looked.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS: of the centre.
    footprint
        ``{"type": "circle", "radius": degrees}`` or ``{"type": "polygon", "vertices": [[ra, dec], ...]}``; ``None``
        where not told, and then nothing is covered.
    band
        Of the observation, ``None`` where not told.
    depth
        Limit, in `unit`; ``None`` where not told.
    unit
        ``ab_mag``, ``vega_mag``, ``flux_erg`` or ``flux_jy``.
    """

    ra: float
    dec: float
    footprint: Mapping[str, Any] | None
    band: str | None = None
    depth: float | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """What some fields cover together.

    Parameters
    ----------
    probability
        Of the map; ``None`` without one.
    area
        Square degrees.
    """

    probability: float | None
    area: float


def covered(fields: Sequence[Field], skymap: SkyMap | None) -> Covered:
    """Probability and area of the union of some fields."""
    # A field looked at again and again is one.
    once = {_key(field): field for field in fields if field.footprint is not None}
    parts = [field_ranges(field.ra, field.dec, field.footprint) for field in once.values() if field.footprint is not None]
    if not parts:
        return Covered(None if skymap is None else 0.0, 0.0)
    every = np.concatenate(parts)
    joined = merge_ranges(every[:, 0], every[:, 1])
    area = float((joined[:, 1] - joined[:, 0]).sum()) * _SQUARE_DEGREES
    return Covered(None if skymap is None else moc.contains(joined, skymap), area)


def deep_enough(field: Field, depth: float, unit: str) -> bool:
    """Whether a field is known to reach a limit: a magnitude as faint or fainter, a flux as low or lower, of the same unit."""
    if field.depth is None or field.unit != unit:
        return False
    return field.depth >= depth if unit.endswith("_mag") else field.depth <= depth


def depth_steps(fields: Sequence[Field]) -> list[tuple[float, str]]:
    """Limits worth telling of: those that fields reach, to half a magnitude, or to 1, 2 or 5 of a power of ten of a flux.

    Returns
    -------
    list of (float, str)
        Limit and unit, the shallowest 40 of each unit first. Every field with a depth reaches the first of its unit.
    """
    found = {
        (_step(field.depth, field.unit), field.unit) for field in fields if field.depth is not None and field.unit is not None
    }
    ordered = sorted(found, key=lambda each: (each[1], each[0] if each[1].endswith("_mag") else -each[0]))
    units = dict.fromkeys(unit for _, unit in ordered)
    return [each for unit in units for each in [one for one in ordered if one[1] == unit][:_MOST_STEPS]]


def _step(depth: float, unit: str) -> float:
    if unit.endswith("_mag"):
        return math.floor(2.0 * depth) / 2.0
    power = 10.0 ** math.floor(math.log10(depth))
    return next((step * power for step in _FLUX_STEPS if depth <= step * power * (1.0 + 1e-12)), 10.0 * power)


def field_ranges(ra: float, dec: float, footprint: Mapping[str, Any]) -> IntArray:
    """Order-29 ranges of a field.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS: of its centre, which circles need.
    footprint
        As of `Field`; edges of polygons are great circles and the smaller side is the inside.

    Returns
    -------
    ndarray of int64, shape (n, 2)
        Half-open, sorted, joined.

    Raises
    ------
    UsageError
        The footprint is none.
    """
    if footprint["type"] == "circle":
        return _circle(float(ra) % 360.0, float(dec), float(footprint["radius"]))
    return _polygon(tuple((float(lon), float(lat)) for lon, lat in footprint["vertices"]))


def check(ra: float, dec: float, footprint: Mapping[str, Any]) -> None:
    """Refuse what `field_ranges` would, at no cost to speak of.

    Raises
    ------
    UsageError
        The footprint is none.
    """
    if footprint["type"] == "circle":
        _check_circle(float(ra) % 360.0, float(dec), float(footprint["radius"]))
    else:
        outline(tuple((float(lon), float(lat)) for lon, lat in footprint["vertices"]))


def middle(vertices: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Middle of the vertices of a polygon, degrees, ICRS.

    Raises
    ------
    UsageError
        They are all around the sky.
    """
    places = np.asarray(vertices, np.float64)
    centre = np.asarray(healpy.ang2vec(places[:, 0] % 360.0, places[:, 1], lonlat=True), np.float64).sum(axis=0)
    if not (centre**2).sum() > 1e-6:
        raise UsageError("the vertices of the polygon are all around the sky: give it in parts")
    ra, dec = healpy.vec2ang(centre, lonlat=True)
    return float(ra[0]), float(dec[0])


def _key(field: Field) -> tuple[Any, ...]:
    assert field.footprint is not None
    if field.footprint["type"] == "circle":
        return field.ra, field.dec, field.footprint["radius"]
    return tuple(map(tuple, field.footprint["vertices"]))


def _check_circle(ra: float, dec: float, radius: float) -> None:
    if not (math.isfinite(ra) and abs(dec) <= 90.0 and 0.0 < radius < 180.0):
        raise UsageError(f"no field at ra {ra}, dec {dec} of radius {radius}: degrees, within the sphere, radius below 180")


@lru_cache(2048)  # some 20 kB each: a field is asked for again with each band, depth and reader
def _circle(ra: float, dec: float, radius: float) -> IntArray:
    _check_circle(ra, dec, radius)
    centre = np.asarray(healpy.ang2vec(ra, dec, lonlat=True), np.float64)
    size = math.radians(radius)

    def within(vectors: FloatArray) -> FloatArray:
        apart = np.sqrt(((vectors - centre) ** 2).sum(axis=1))
        return np.asarray(size - 2.0 * np.arcsin(np.minimum(0.5 * apart, 1.0)), np.float64)

    return _filled(centre, size, within)


@lru_cache(1024)  # some 20 kB each, too; the longest outlines have ten times that
def _polygon(corners: tuple[tuple[float, float], ...]) -> IntArray:
    shape, reach = outline(corners)
    return _filled(shape.centre, reach, shape.within)


def _filled(centre: FloatArray, reach: float, within: Callable[[FloatArray], FloatArray]) -> IntArray:
    """Ranges of a region that lies within `reach` (radians) of a centre.

    Parameters
    ----------
    within
        Of directions: how far inside they are at least, radians; below 0 how far outside.
    """
    finest = int(np.clip(math.ceil(math.log2(cell_width(0) * _ACROSS / math.degrees(reach))), 0, ORDER))
    first = max(finest - 6, 0)
    cells = np.asarray(healpy.query_disc(1 << first, centre, min(reach, math.pi), inclusive=True, fact=4, nest=True), np.int64)
    starts: list[IntArray] = []
    stops: list[IntArray] = []
    for order in range(first, finest + 1):
        depth = within(np.column_stack(healpy.pix2vec(1 << order, cells, nest=True)))
        spare = float(healpy.max_pixrad(1 << order)) if order < finest else 0.0
        whole, shift = cells[depth >= spare], 2 * (ORDER - order)
        starts.append(whole << shift)
        stops.append((whole + 1) << shift)
        edge = cells[np.abs(depth) < spare]
        cells = (4 * edge[:, None] + np.arange(4, dtype=np.int64)).ravel()
        if not cells.size:
            break
    return merge_ranges(np.concatenate(starts), np.concatenate(stops))
