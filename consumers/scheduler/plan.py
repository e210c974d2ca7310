"""A plan for one night: which fields, in which order, and how much of the probability they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from astropy.time import Time, TimeDelta

from consumers import night
from consumers.cells import Cells, split
from consumers.scheduler.fields import Members, members, order_for, touched
from consumers.scheduler.observed import Footprint, covered, split_at_edges
from consumers.scheduler.order import Night, Timing, fill, ranked, walk
from consumers.scheduler.places import places_for
from consumers.scheduler.request import Place, Request

__all__ = ["Outcome", "Scheduled", "make"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_STEP: Final = 60.0  # seconds between the instants at which limits are looked at
_LEAST: Final = 1e-7  # probability that a field has to add


@dataclass(frozen=True)
class Scheduled:
    """A visit to a field with its exposures.

    Parameters
    ----------
    place
        The field.
    number
        Of the visit to it, from 1.
    exposures
        Begin of each, and its filter.
    """

    place: Place
    number: int
    exposures: tuple[tuple[Time, str], ...]


@dataclass(frozen=True)
class Outcome:
    """A plan.

    Parameters
    ----------
    window
        Begin and end of the time that was to be filled; none where there is none.
    places
        Fields that were chosen from.
    visits
        In order of time; none where `reason` says why.
    cells
        Of the map, split as the sums need it.
    probability
        By name: ``plan`` in the plan's fields, ``new`` of that not observed before, ``observed`` before, ``total`` both
        together, ``visible`` in the fields that can be seen in the night, ``tiling`` in all of them, ``map`` of all cells.
    each
        By number of the place: what is in the field.
    order
        HEALPix order of the cells that sums are as if taken over, at least.
    """

    window: tuple[Time, Time] | None
    places: Sequence[Place]
    visits: Sequence[Scheduled]
    cells: Cells
    probability: Mapping[str, float]
    order: int
    reason: str = ""
    notes: Sequence[str] = ()
    each: Mapping[str | int, float] = field(default_factory=dict)


def make(
    cells: Cells, request: Request, window: tuple[Time, Time] | None, prints: Sequence[Footprint] = (), closed: str = ""
) -> Outcome:
    """Plan a night.

    Parameters
    ----------
    cells
        The map, by place.
    window
        The time to fill: dark; none where there is no night.
    prints
        What needs no more looking at.
    closed
        Why there is no time to fill, where it is not for want of a night.
    """
    cells = cells[cells.probability > 0.0]
    wanted, order = request.fov, order_for(request.fov)
    places, notes = places_for(cells, request)
    ra, dec = np.array([one.ra for one in places]), np.array([one.dec for one in places])
    fine, reached = split_at_edges(split(cells, order, touched(ra, dec, wanted.radius)), prints, order)
    if reached < order:
        notes = [*notes, f"what was observed has edges so long that they are cut into cells of order {reached}, not {order}"]
    held = members(wanted, ra, dec, fine)
    seen = covered(fine, prints)
    sums = _Sums(fine, held, seen)

    def empty(reason: str) -> Outcome:
        return Outcome(window, places, (), fine, sums.of([], np.zeros(len(places), np.bool_)), order, reason, notes)

    if not places:
        return empty("none of the given fields touches the map")
    if window is None:
        return empty(closed or f"no night at {request.site.name}: the Sun does not go below {request.limits.sun:g} degrees")
    times = night.grid(*window, _STEP)
    up, airmass = _observable(request, ra, dec, times)
    step = float((window[1] - window[0]).sec / (len(times) - 1))
    sky = Night(night.directions(ra, dec), up, airmass, step, request.timing, wanted.width)
    if not sky.possible.any():
        return empty(_why_not(request, ra, dec, times, up))
    worth, in_field = np.where(seen, 0.0, fine.probability), held
    if request.galaxies:
        worth, in_field = _galaxies(request, places, prints)
    chosen, added = ranked(in_field, worth, sky.possible, _LEAST)
    if not chosen:
        return empty("nothing is left to observe: all that can be seen of the map has been observed, or has no probability")
    gains = np.zeros(len(places))
    gains[chosen] = added
    alone = [number for number in chosen if walk(sky, [number], gains)[1] is None]
    visits = fill(sky, alone, gains, request.most)
    if not visits:
        return empty(
            f"no field can be visited {request.timing.repeat} times, {request.timing.gap / 60:g} minutes apart, while it is up"
        )
    scheduled = [_scheduled(places[one.field], one.number, window[0], one.start, request.timing) for one in visits]
    fields = sorted({one.field for one in visits})
    each = {places[number].name: float(fine.probability[held.of(number)].sum()) for number in fields}
    return Outcome(window, places, scheduled, fine, sums.of(fields, sky.possible), order, "", notes, each)


@dataclass(frozen=True)
class _Sums:
    """Probability in unions of fields: each cell once."""

    cells: Cells
    held: Members
    seen: Mask

    def of(self, fields: list[int], possible: Mask) -> dict[str, float]:
        planned = self.held.any_of(fields, len(self.cells))
        visible = self.held.any_of(np.flatnonzero(possible), len(self.cells))
        tiled = self.held.any_of(list(range(len(self.held))), len(self.cells))
        rows = {
            "plan": planned,
            "new": planned & ~self.seen,
            "observed": self.seen,
            "total": planned | self.seen,
            "visible": visible,
            "tiling": tiled,
            "map": np.ones(len(self.cells), np.bool_),
        }
        return {name: float(self.cells.probability[mask].sum()) for name, mask in rows.items()}


def _observable(request: Request, ra: Floats, dec: Floats, times: Time) -> tuple[Mask, Floats]:
    """Whether each field is within the limits at each time, and its airmass."""
    site, limits = request.site, request.limits
    altitude = night.altitude(site, ra[:, None], dec[:, None], times)
    airmass = night.airmass(altitude)
    up = (altitude >= limits.altitude) & (airmass <= limits.airmass)
    if limits.moon > 0.0:
        far = night.moon_separation(site, ra[:, None], dec[:, None], times) >= limits.moon
        up &= far | (night.moon_altitude(site, times) < 0.0)
    return up, airmass


def _why_not(request: Request, ra: Floats, dec: Floats, times: Time, up: Mask) -> str:
    site, limits = request.site, request.limits
    if up.any():
        return f"no field stays within the limits for the {request.timing.visit:g} s of a visit"
    highest = float(night.altitude(site, ra[:, None], dec[:, None], times).max())
    if highest <= 0.0:
        return f"never up at {site.name}: the map stays below the horizon all night"
    if highest < limits.altitude:
        return f"never up at {site.name}: no field rises above {highest:.1f} degrees at night, {limits.altitude:g} are wanted"
    return f"never up at {site.name}: no field comes within airmass {limits.airmass:g} and {limits.moon:g} degrees off the Moon"


def _galaxies(request: Request, places: Sequence[Place], prints: Sequence[Footprint]) -> tuple[Floats, Members]:
    """What each galaxy is worth, nothing where it was observed, and which are in the field around which."""
    vectors = night.directions([one.ra for one in places], [one.dec for one in places])
    found = [np.flatnonzero(request.fov.inside(one.ra, one.dec, vectors)) for one in places]
    looked_at = np.zeros(len(places), np.bool_)  # by its own place: the map may have no cell there
    for one in prints:
        looked_at |= one.inside(vectors)
    weight = np.where(looked_at, 0.0, [one.probability for one in places])
    first = np.concatenate([[0], np.cumsum([rows.size for rows in found])]).astype(np.int64)
    return weight, Members(first, np.concatenate(found))


def _scheduled(place: Place, number: int, begin: Time, start: float, timing: Timing) -> Scheduled:
    each = timing.exposure + timing.readout + timing.change
    starts = begin + TimeDelta([start + each * count for count in range(len(timing.filters))], format="sec")
    return Scheduled(place, number, tuple(zip(starts, timing.filters, strict=True)))
