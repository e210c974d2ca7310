"""Fields of view on the sky, and which cells of a map lie in which.

A rectangle of W x H degrees is what a camera sees: with the centre ``c`` and the unit vectors ``e`` and ``n`` to its east and
north, a direction ``v`` is inside where ``v.c > 0``, ``|v.e| <= tan(W/2) v.c`` and ``|v.n| <= tan(H/2) v.c``. Its sides are
great circles. A round field holds what is within half its width of the centre. A cell is in a field where its centre is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import healpy
import numpy as np
import numpy.typing as npt

from consumers.cells import Cells
from consumers.errors import RequestError

__all__ = ["WIDEST", "Field", "Members", "axes_at", "field_of", "members", "near", "order_for", "touched"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WIDEST: Final = 60.0
"""Degrees: a wider field is refused."""
_NARROWEST: Final = 1.0 / 60.0
_ACROSS: Final = 20.0  # cells across a field, at the least
_CELL: Final = 58.632_3  # degrees: side of a cell of order 0, as a square of its area


@dataclass(frozen=True, slots=True)
class Field:
    """What a camera sees at once.

    Parameters
    ----------
    width, height
        Degrees, along right ascension and declination.
    circle
        A round field: `width` is its diameter, and `height` is too.
    """

    width: float
    height: float
    circle: bool = False

    @property
    def radius(self) -> float:
        """Degrees from the centre to the farthest point."""
        if self.circle:
            return self.width / 2.0
        return float(np.degrees(np.arctan(np.hypot(*self.tangents))))

    @property
    def tangents(self) -> tuple[float, float]:
        """Of half the width and half the height."""
        return float(np.tan(np.radians(self.width / 2.0))), float(np.tan(np.radians(self.height / 2.0)))

    @property
    def area(self) -> float:
        """Square degrees."""
        if self.circle:
            return float(2.0 * np.pi * (1.0 - np.cos(np.radians(self.width / 2.0))) * (180.0 / np.pi) ** 2)
        half = np.radians(self.width / 2.0), np.radians(self.height / 2.0)
        return float(4.0 * np.arcsin(np.sin(half[0]) * np.sin(half[1])) * (180.0 / np.pi) ** 2)

    def inside(self, ra: float, dec: float, vectors: Floats) -> Mask:
        """Which unit vectors lie in the field around a centre in degrees."""
        centre, east, north = axes_at(ra, dec)
        along = vectors @ centre
        if self.circle:
            return np.asarray(along >= np.cos(np.radians(self.width / 2.0)), np.bool_)
        wide, high = self.tangents
        across, up = np.abs(vectors @ east), np.abs(vectors @ north)
        return np.asarray((along > 0.0) & (across <= wide * along) & (up <= high * along), np.bool_)

    def outline(self, ra: float, dec: float, points: int = 1) -> tuple[Floats, Floats]:
        """Right ascensions and declinations of its corners, or of a round field's circumference, degrees.

        Parameters
        ----------
        points
            On each side, its first corner included.
        """
        centre, east, north = axes_at(ra, dec)
        if self.circle:
            angle = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
            away = np.radians(self.width / 2.0)
            around = np.outer(np.cos(angle), east) + np.outer(np.sin(angle), north)
            vectors = np.cos(away) * centre + np.sin(away) * around
        else:
            wide, high = self.tangents
            corners = np.array([(wide, high), (-wide, high), (-wide, -high), (wide, -high)])
            part = np.arange(points)[:, None] / points
            sides = [one + (other - one) * part for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
            offsets = np.concatenate(sides)
            vectors = centre + offsets[:, :1] * east + offsets[:, 1:] * north
        lon, lat = healpy.vec2ang(vectors, lonlat=True)
        return np.asarray(lon, np.float64), np.asarray(lat, np.float64)


@dataclass(frozen=True)
class Members:
    """Which cells lie in which field: those of field ``i`` are ``cells[first[i]:first[i + 1]]``."""

    first: Integers
    cells: Integers

    def __len__(self) -> int:
        return int(self.first.size) - 1

    def of(self, number: int) -> Integers:
        """Cells of a field."""
        return self.cells[self.first[number] : self.first[number + 1]]

    def any_of(self, numbers: Integers | list[int], count: int) -> Mask:
        """Which of `count` cells lie in one of several fields at least."""
        found = np.zeros(count, np.bool_)
        for number in numbers:
            found[self.of(int(number))] = True
        return found


def field_of(text: str, *, circle: bool = False) -> Field:
    """A field as the command line writes it: ``W`` or ``WxH``, degrees.

    Raises
    ------
    RequestError
        It is none, or no camera's.
    """
    try:
        sides = [float(side) for side in text.lower().split("x")]
    except ValueError:
        sides = []
    if len(sides) not in {1, 2} or (circle and len(sides) == 2):
        raise RequestError(f"--fov {text!r} is no field: write it as degrees, such as 1.5, or 3x2 for width x height")
    for side in sides:
        if not _NARROWEST <= side <= WIDEST:
            raise RequestError(f"--fov {text!r}: a field is from 1 arcminute to {WIDEST:g} degrees wide, and {side:g} is not")
    return Field(sides[0], sides[-1], circle)


def order_for(field: Field) -> int:
    """HEALPix order whose cells are a twentieth of a field, or smaller: what is coarser is split for the sums."""
    return max(0, int(np.ceil(np.log2(_CELL * _ACROSS / min(field.width, field.height)))))


def axes_at(ra: float, dec: float) -> tuple[Floats, Floats, Floats]:
    """Unit vectors to a place and to its east and north."""
    lon, lat = np.radians(ra), np.radians(dec)
    centre = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    return centre, east, north


def touched(ra: npt.ArrayLike, dec: npt.ArrayLike, radius: npt.ArrayLike) -> Integers:
    """Order-29 pixels near circles (degrees), and some around: sorted, disjoint ranges, shape (n, 2)."""
    ras, decs, radii = np.broadcast_arrays(*(np.atleast_1d(np.asarray(value, np.float64)) for value in (ra, dec, radius)))
    found = [_near(*one) for one in zip(ras.tolist(), decs.tolist(), radii.tolist(), strict=True)]
    ranges = np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)
    if not len(ranges):
        return ranges
    ends = np.maximum.accumulate(ranges[:, 1])
    new = np.concatenate([[True], ranges[1:, 0] > ends[:-1]])
    last = np.concatenate([np.flatnonzero(new)[1:] - 1, [len(ranges) - 1]])
    return np.column_stack([ranges[new, 0], ends[last]])


def members(field: Field, ra: npt.ArrayLike, dec: npt.ArrayLike, cells: Cells) -> Members:
    """Which cells lie in a field around each of some centres (degrees).

    Parameters
    ----------
    cells
        By place; those near the centres no coarser than `order_for`.
    """
    found = []
    for one_ra, one_dec in zip(np.atleast_1d(ra).tolist(), np.atleast_1d(dec).tolist(), strict=True):
        around = near(cells, one_ra, one_dec, field.radius)
        found.append(around[field.inside(one_ra, one_dec, cells.vectors[around])])
    sizes = np.array([rows.size for rows in found], np.int64)
    return Members(np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([np.empty(0, np.int64), *found]))


def near(cells: Cells, ra: float, dec: float, radius: float) -> Integers:
    """Cells within some degrees of a place, and some around; `cells` are by place."""
    ranges = _near(ra, dec, radius)
    first, last = np.searchsorted(cells.stop, ranges[:, 0], "right"), np.searchsorted(cells.start, ranges[:, 1], "left")
    return _spans(first, np.maximum(first, last))


def _near(ra: float, dec: float, radius: float) -> Integers:
    """Ranges of order-29 pixels that hold all within some degrees of a place, and little more: sorted and disjoint."""
    order = int(np.clip(np.ceil(np.log2(4.0 * _CELL / max(radius, 1e-6))), 2, 20))
    vector = axes_at(ra, dec)[0]
    pixels = np.sort(healpy.query_disc(1 << order, vector, np.radians(radius) * 1.0001, inclusive=True, nest=True))
    breaks = np.flatnonzero(np.diff(pixels) > 1)
    first, last = np.concatenate([[0], breaks + 1]), np.concatenate([breaks, [pixels.size - 1]])
    shift = 2 * (29 - order)
    return np.column_stack([pixels[first] << shift, (pixels[last] + 1) << shift]).astype(np.int64)


def _spans(first: Integers, last: Integers) -> Integers:
    """All numbers of some half-open spans that follow one another, each once."""
    first = np.maximum(first, np.concatenate([[0], np.maximum.accumulate(last)[:-1]]))
    sizes = np.maximum(last - first, 0)
    total = int(sizes.sum())
    starts = np.repeat(first - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    return starts + np.arange(total)
