"""Polygons on the sky: their edges are great circles, and the smaller side is the inside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import healpy
import numpy as np
import numpy.typing as npt

from broker.errors import UsageError

__all__ = ["MOST_CORNERS", "Outline", "outline"]

FloatArray = npt.NDArray[np.float64]

MOST_CORNERS: Final = 100  # of a polygon
_LONGEST: Final = 40.0  # outline of a polygon, in its reaches: its cells are as many as that is long
_WIDEST: Final = 80.0  # degrees from the middle of a polygon: a hemisphere has no flat picture


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Edges of a polygon, great circles from `begin` to `end` with their `normals`, all within 80 degrees of `centre`."""

    begin: FloatArray
    end: FloatArray
    normals: FloatArray
    centre: FloatArray

    def within(self, vectors: FloatArray) -> FloatArray:
        """How far inside directions are, radians: below 0, how far outside."""
        away = np.full(len(vectors), np.inf)
        odd = np.zeros(len(vectors), np.bool_)
        x, y = self._flat(vectors)
        x1, y1 = self._flat(self.begin)
        x2, y2 = self._flat(self.end)
        for edge, normal in enumerate(self.normals):
            across = vectors @ normal
            beside = (vectors @ np.cross(normal, self.begin[edge]) >= 0.0) & (vectors @ np.cross(self.end[edge], normal) >= 0.0)
            corner = np.sqrt(((vectors - self.begin[edge]) ** 2).sum(axis=1))
            ends = 2.0 * np.arcsin(np.minimum(0.5 * corner, 1.0))  # the other end is the next edge's begin
            away = np.minimum(away, np.where(beside, np.abs(np.arcsin(np.clip(across, -1.0, 1.0))), ends))
            # Even-odd rule in the gnomonic projection, where great circles are straight.
            if y1[edge] != y2[edge]:
                cut = x1[edge] + (y - y1[edge]) * (x2[edge] - x1[edge]) / (y2[edge] - y1[edge])
                odd ^= ((y1[edge] > y) != (y2[edge] > y)) & (x < cut)
        facing = vectors @ self.centre > 0.0
        return np.where(odd & facing, away, -away)

    def crosses_itself(self) -> bool:
        """Whether edges cross; those that only touch do not."""
        x1, y1 = self._flat(self.begin)
        x2, y2 = self._flat(self.end)
        tiny = 1e-6 * max(float(np.abs(x1).max()), float(np.abs(y1).max())) ** 2

        def sides(x: FloatArray, y: FloatArray) -> FloatArray:
            turn = (x2 - x1)[:, None] * (y - y1[:, None]) - (y2 - y1)[:, None] * (x - x1[:, None])
            return np.where(np.abs(turn) > tiny, np.sign(turn), 0.0)

        parted = sides(x1, y1) * sides(x2, y2) < 0.0  # by the line of an edge: the ends of another
        return bool((parted & parted.T).any())

    def _flat(self, vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
        pole = np.array([0.0, 0.0, 1.0]) if abs(self.centre[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        east = np.cross(pole, self.centre)
        east /= float(np.sqrt((east**2).sum()))
        depth = np.maximum(vectors @ self.centre, 1e-9)
        return vectors @ east / depth, vectors @ np.cross(self.centre, east) / depth


def outline(corners: tuple[tuple[float, float], ...]) -> tuple[Outline, float]:
    """A polygon of vertices (right ascension and declination, degrees, ICRS), and how far it reaches from its middle, radians.

    Raises
    ------
    UsageError
        It is none, or its cells would be too many.
    """
    if len(corners) > MOST_CORNERS:
        raise UsageError(f"a polygon of {len(corners)} vertices: {MOST_CORNERS} are the most, give it in parts")
    places = np.asarray(corners, np.float64)
    if len(places) < 3 or places.ndim != 2 or not (np.isfinite(places).all() and (np.abs(places[:, 1]) <= 90.0).all()):
        raise UsageError("a polygon has three vertices or more, each a right ascension and a declination in degrees")
    begin = np.asarray(healpy.ang2vec(places[:, 0] % 360.0, places[:, 1], lonlat=True), np.float64)
    end = np.roll(begin, -1, axis=0)
    normals = np.cross(begin, end)
    length = np.sqrt((normals**2).sum(axis=1))
    real = length > 1e-13  # a ring that names its first vertex last as well
    begin, end, normals = begin[real], end[real], normals[real] / length[real, None]
    centre = begin.sum(axis=0)
    if len(begin) < 3 or not (centre**2).sum() > 1e-6:
        raise UsageError("the vertices of the polygon are all one place, or all around the sky")
    centre /= float(np.sqrt((centre**2).sum()))
    reach = float(_angle(begin @ centre, np.sqrt(((begin - centre) ** 2).sum(axis=1))).max())
    if reach > math.radians(_WIDEST):
        raise UsageError(f"the polygon reaches further than {_WIDEST:g} degrees from its middle: give it in parts")
    shape = Outline(begin, end, normals, centre)
    if shape.crosses_itself():
        raise UsageError("the outline of the polygon crosses itself: name its vertices going round")
    if float((2.0 * np.arcsin(0.5 * np.sqrt(((end - begin) ** 2).sum(axis=1)))).sum()) > _LONGEST * reach:
        raise UsageError(f"the outline of the polygon is more than {_LONGEST:g} times as long as it reaches: give it in parts")
    return shape, reach


def _angle(cosine: FloatArray, chord: FloatArray) -> FloatArray:
    """Angles of directions, radians, exact for the smallest: by the chord, but where that is longer than the radius."""
    return np.where(cosine < 0.5, np.arccos(np.clip(cosine, -1.0, 1.0)), 2.0 * np.arcsin(np.minimum(0.5 * chord, 1.0)))
