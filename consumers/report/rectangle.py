"""By how much a rectangular field of view is turned on the sky."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["turned"]

_RIGHT: Final = math.sin(math.radians(5.0))  # how far from right its angles may be: meridians come together
Vector = tuple[float, float]


def turned(ra: float, dec: float, vertices: Sequence[Sequence[float]]) -> float | None:
    """Degrees from north to west of the side of a rectangle that is nearest to north, -45 to 45; none where it is no rectangle.

    Parameters
    ----------
    ra, dec
        Degrees, ICRS: where directions are taken.
    vertices
        Right ascension and declination of the corners, going round; the first may stand at the end, too.
    """
    seen = [_flat(ra, dec, *map(float, one[:2])) for one in vertices]
    corners = [one for one in seen if one is not None]
    if len(corners) == 5 and math.dist(corners[0], corners[-1]) < 1e-9:
        corners.pop()
    if None in seen or len(corners) != 4:
        return None
    sides = [_less(corners[(number + 1) % 4], one) for number, one in enumerate(corners)]
    for one, after in zip(sides, [*sides[1:], sides[0]], strict=True):
        size = math.hypot(*one) * math.hypot(*after)
        if size == 0.0 or abs(one[0] * after[0] + one[1] * after[1]) > _RIGHT * size:
            return None
    middles = [_less(sides[0], sides[2]), _less(sides[1], sides[3])]  # the means of opposite sides, which go round
    ups = [*middles, *((-x, -y) for x, y in middles)]
    x, y = max(ups, key=lambda one: one[1] / math.hypot(*one))
    return math.degrees(math.atan2(-x, y))


def _flat(ra: float, dec: float, there_ra: float, there_dec: float) -> Vector | None:
    """A place on the plane that touches the sky at another one: to the east and to the north; none on its far side."""
    away, here, there = math.radians(there_ra - ra), math.radians(dec), math.radians(there_dec)
    along = math.sin(here) * math.sin(there) + math.cos(here) * math.cos(there) * math.cos(away)
    if along <= 0.0:
        return None
    east = math.cos(there) * math.sin(away)
    north = math.cos(here) * math.sin(there) - math.sin(here) * math.cos(there) * math.cos(away)
    return east / along, north / along


def _less(one: Vector, other: Vector) -> Vector:
    return one[0] - other[0], one[1] - other[1]
