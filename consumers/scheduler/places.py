"""Which fields a plan chooses from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from consumers.cells import Cells, densest, split
from consumers.scheduler import tiling
from consumers.scheduler.fields import near, order_for, touched
from consumers.scheduler.request import Place, Request

__all__ = ["places_for"]

_MOST: Final = 2500  # fields that a region is covered with at most


def places_for(cells: Cells, request: Request) -> tuple[Sequence[Place], list[str]]:
    """Fields to choose from, and what is to be said of them.

    They are those that the telescope has, else one that holds the region of the map, else those of a tiling of it.
    """
    if request.places is not None:
        return _near_map(cells, request, request.places)
    order, notes = order_for(request.fov), []
    inside = densest(cells, request.level, 0.6 * _MOST * request.fov.area)
    region = cells[inside]
    held = float(region.probability.sum())
    if held < request.level * float(cells.probability.sum()) - 1e-9:
        notes.append(
            f"the {request.level:.0%} region takes more than {_MOST} fields: only the {held:.1%} region is looked at, "
            f"{region.area.sum():,.0f} square degrees"
        )
    if region.area.sum() <= 1.5 * request.fov.area:
        place = Place(1, *tiling.centred(request.fov, cells, region))
        fine = split(cells, order, touched(place.ra, place.dec, request.fov.radius))
        if fine.probability[request.fov.inside(place.ra, place.dec, fine.vectors)].sum() >= held - 1e-9:
            return [place], ["one field holds the region: it is put where it holds the most of the map"]
    ra, dec = tiling.tiles(request.fov, split(region, order), request.overlap)
    return [Place(number, *place) for number, place in enumerate(zip(ra.tolist(), dec.tolist(), strict=True), 1)], notes


def _near_map(cells: Cells, request: Request, places: Sequence[Place]) -> tuple[Sequence[Place], list[str]]:
    """Given fields that touch the 99 % region, those with the most of it around them where they are very many."""
    if request.galaxies:
        return places, []
    region = cells[densest(cells, max(request.level, 0.99))]
    around = [near(region, one.ra, one.dec, request.fov.radius) for one in places]
    weight = np.array([region.probability[rows].sum() for rows in around])
    kept = [number for number in np.argsort(-weight, kind="stable").tolist() if weight[number] > 0.0]
    notes = [f"{len(kept)} fields touch the map: the likeliest {_MOST} are looked at"] if len(kept) > _MOST else []
    return [places[number] for number in sorted(kept[:_MOST])], notes
