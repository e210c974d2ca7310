"""What has been observed of an event, as ``GET /api/v1/events/{name}/observations`` tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import healpy
import numpy as np
import numpy.typing as npt

from consumers.cells import Cells, split_where
from consumers.errors import RequestError
from consumers.scheduler.fields import axes_at, near

__all__ = ["Footprint", "covered", "footprints", "split_at_edges"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MOST: Final = 4_000_000  # parts of one order that edges are cut into, of a hundred bytes or two each


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

    def inside(self, vectors: Floats) -> Mask:
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

    def from_edge(self, vectors: Floats) -> Floats:
        """Radians from unit vectors to the nearest point of its edge."""
        if not self.ras.size:
            return np.asarray(np.abs(_apart(vectors, axes_at(self.ra, self.dec)[0]) - np.radians(self.radius)), np.float64)
        corners = np.asarray(healpy.ang2vec(self.ras, self.decs, lonlat=True))
        nearest = np.full(len(vectors), np.inf)
        for one, other in zip(np.roll(corners, 1, axis=0), corners, strict=True):
            nearest = np.minimum(nearest, _apart(vectors, other))
            pole = np.cross(one, other)
            if (size := float(np.linalg.norm(pole))) > 0.0:  # a corner may be given twice
                pole /= size
                beside = (vectors @ np.cross(pole, one) >= 0.0) & (vectors @ np.cross(other, pole) >= 0.0)
                away = np.arcsin(np.clip(np.abs(vectors @ pole), 0.0, 1.0))
                nearest = np.where(beside, np.minimum(nearest, away), nearest)
        return nearest


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


def split_at_edges(cells: Cells, prints: Sequence[Footprint], order: int, most: int = _MOST) -> tuple[Cells, int]:
    """Cells, those that an edge of what was observed runs through split until they are of an order.

    A cell that lies in one footprint as a whole, or outside all of them, adds the same to a sum whether it is split or not. So
    there are as many parts as edges are long, and not as many as footprints are wide.

    Parameters
    ----------
    most
        Parts of one order that are made at most: where there would be more, edges stay as they are.

    Returns
    -------
    Cells
        By place.
    int
        The order that edges were split to.
    """
    different = list({(one.ra, one.dec, one.radius, one.ras.tobytes(), one.decs.tobytes()): one for one in prints}.values())
    reached = order

    def which(some: Cells) -> Mask:
        nonlocal reached
        level = int(some.order[0]) if len(some) else order
        edge = _at_edges(some, different, level) if level < reached else np.zeros(len(some), np.bool_)
        if 4 * int(edge.sum()) > most:
            reached = level
            edge[:] = False
        return edge

    return split_where(cells, order, which), reached


def _at_edges(cells: Cells, prints: Sequence[Footprint], level: int) -> Mask:
    """Through which cells of one order an edge may run that is not within a footprint that holds the cell."""
    reach = 1.01 * float(healpy.max_pixrad(1 << level))
    edge, held = np.zeros(len(cells), np.bool_), np.zeros(len(cells), np.bool_)
    for one in prints:
        around = near(cells, one.ra, one.dec, one.radius)
        vectors = cells.vectors[around]
        close = one.from_edge(vectors) <= reach
        edge[around] |= close
        held[around] |= ~close & one.inside(vectors)
    return np.asarray(edge & ~held, np.bool_)


def covered(cells: Cells, prints: Sequence[Footprint]) -> Mask:
    """Which cells have their centre in a footprint."""
    found = np.zeros(len(cells), np.bool_)
    for one in prints:
        around = near(cells, one.ra, one.dec, one.radius)
        found[around] |= one.inside(cells.vectors[around])
    return found


def _apart(vectors: Floats, place: Floats) -> Floats:
    """Radians between unit vectors and another one."""
    return np.asarray(2.0 * np.arcsin(np.clip(np.linalg.norm(vectors - place, axis=1) / 2.0, 0.0, 1.0)), np.float64)


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
