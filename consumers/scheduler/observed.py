"""What has been observed of an event, as ``GET /api/v1/events/{name}/observations`` tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import healpy
import numpy as np
import numpy.typing as npt

from consumers.cells import Cells
from consumers.errors import RequestError
from consumers.scheduler.fields import axes_at, near

__all__ = ["Footprint", "covered", "footprints"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Footprint:
    """A circle, or a polygon with great circles as sides; degrees, ICRS.

    Parameters
    ----------
    ra, dec, radius
        Circle that it is, or that holds the polygon.
    ras, decs
        Vertices of the polygon, in order; none for a circle.
    """

    ra: float
    dec: float
    radius: float
    ras: Floats
    decs: Floats

    def inside(self, vectors: Floats) -> npt.NDArray[np.bool_]:
        """Which unit vectors lie in it."""
        centre, east, north = axes_at(self.ra, self.dec)
        along = vectors @ centre
        within = along >= np.cos(np.radians(self.radius))
        if not self.ras.size:
            return np.asarray(within, np.bool_)
        corners = np.asarray(healpy.ang2vec(self.ras, self.decs, lonlat=True))
        corner_x, corner_y = (corners @ axis / (corners @ centre) for axis in (east, north))
        safe = np.where(along > 0.0, along, 1.0)
        x, y = vectors @ east / safe, vectors @ north / safe
        odd = np.zeros(len(vectors), np.bool_)
        for number in range(self.ras.size):  # sides that a ray to the right crosses
            x0, y0, x1, y1 = corner_x[number - 1], corner_y[number - 1], corner_x[number], corner_y[number]
            if y0 != y1:
                odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        return np.asarray(odd & (along > 0.0), np.bool_)


def footprints(observations: Sequence[Mapping[str, Any]], *, planned: bool = False) -> list[Footprint]:
    """Footprints of what was observed; what has none covers nothing.

    Parameters
    ----------
    planned
        Of what others plan to observe too.

    Raises
    ------
    RequestError
        A footprint is neither a circle nor a polygon on less than half the sky.
    """
    wanted = {"completed", "planned"} if planned else {"completed"}
    return [_footprint(one) for one in observations if one.get("status") in wanted and one.get("footprint")]


def covered(cells: Cells, prints: Sequence[Footprint]) -> npt.NDArray[np.bool_]:
    """Which cells have their centre in a footprint."""
    found = np.zeros(len(cells), np.bool_)
    for one in prints:
        around = near(cells, one.ra, one.dec, one.radius)
        found[around] |= one.inside(cells.vectors[around])
    return found


def _footprint(observation: Mapping[str, Any]) -> Footprint:
    shape = observation["footprint"]
    try:
        if shape.get("type") == "circle":
            return Footprint(
                float(observation["ra"]), float(observation["dec"]), float(shape["radius"]), np.empty(0), np.empty(0)
            )
        if shape.get("type") == "polygon":
            return _polygon(np.array(shape["vertices"], np.float64))
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(
            f"an observation at {observation.get('ra')} {observation.get('dec')} has no footprint: {error}"
        ) from error
    raise RequestError(
        f"a footprint is a circle or a polygon, and {shape.get('type')!r} is neither: --ignore-observed leaves all out"
    )


def _polygon(vertices: Floats) -> Footprint:
    vectors = np.asarray(healpy.ang2vec(vertices[:, 0], vertices[:, 1], lonlat=True))
    middle = vectors.sum(axis=0)
    middle /= np.linalg.norm(middle)
    away = float(np.degrees(np.arccos(np.clip(vectors @ middle, -1.0, 1.0)).max()))
    if len(vertices) < 3 or away >= 85.0:
        raise ValueError(f"a polygon needs three vertices or more on less than half the sky, and this has {len(vertices)}")
    ra, dec = (float(value[0]) for value in healpy.vec2ang(middle, lonlat=True))
    return Footprint(ra, dec, away, vertices[:, 0], vertices[:, 1])
