"""Probability maps of the sky: what is kept of one, and what can be asked of it.

A map is a sorted list of half-open ranges of order-29 NESTED HEALPix indices, each with its probability density and its
credible level: the probability of the smallest credible region that holds it. Both are computed once, when the map arrives, so
that a point costs one binary search.

Longer than 300 lines by a few, because whatever relies on how the ranges are kept stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from broker.errors import SkyMapError
from broker.science import circle, distance
from broker.science.sky import CELL_AREA, NPIX29, ORDER, merge_ranges
from broker.science.skymap_kernel import accumulate, look_up

__all__ = [
    "Facts",
    "SkyMap",
    "area",
    "build",
    "credible_ranges",
    "distance_moments",
    "from_arrays",
    "from_cone",
    "levels_at",
    "region",
    "to_arrays",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NORMALISED: Final = 1e-3
"""A map whose sum departs from 1 by no more is normalised."""
RENORMALISABLE: Final = 0.05
"""One that departs by no more is scaled to 1; beyond, it is something else than a probability map."""
_FINEST_PARTS: Final = 9
_SQUARE_DEGREES: Final = CELL_AREA * float(np.degrees(1.0)) ** 2  # of a cell of order 29


@dataclass(frozen=True, slots=True)
class Facts:
    """What a map's header says of it.

    Parameters
    ----------
    order
        Finest HEALPix order of the map.
    name, time, creator, instruments
        As written (``OBJECT``, ``DATE-OBS``, ``CREATOR``, ``INSTRUME``); empty where absent.
    distmean, diststd
        Mean and standard deviation of the distance in Mpc as the header gives them.
    total
        Sum of the probabilities as they came, before they were scaled to 1.
    """

    order: int = ORDER
    name: str = ""
    time: str = ""
    creator: str = ""
    instruments: str = ""
    distmean: float | None = None
    diststd: float | None = None
    total: float = 1.0

    @property
    def normalised(self) -> bool:
        """Whether the map summed to 1 as it came."""
        return abs(self.total - 1.0) <= NORMALISED


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class SkyMap:
    """A probability map. All arrays have one element a range; none is to be written to.

    Parameters
    ----------
    start, stop
        Order-29 NESTED indices, half-open, sorted, not overlapping; sky outside them has no probability.
    prob
        Probability of the range; they sum to 1.
    density
        Probability per steradian.
    level
        Credible level, 0 to 1. Ranges of one density share the upper end of theirs; 1 where the density is 0.
    distmu, distsigma, distnorm
        Parameters of the conditional distance distribution in Mpc, Mpc and Mpc^-2 (see `broker.science.distance`), or ``None``.
    facts
        What the header says.
    """

    start: IntArray
    stop: IntArray
    prob: FloatArray
    density: FloatArray
    level: FloatArray
    distmu: FloatArray | None = None
    distsigma: FloatArray | None = None
    distnorm: FloatArray | None = None
    facts: Facts = field(default_factory=Facts)

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    @property
    def is_3d(self) -> bool:
        """Whether it says how far as well as where."""
        return self.distmu is not None


def build(
    start: IntArray,
    stop: IntArray,
    density: FloatArray,
    facts: Facts | None = None,
    distances: tuple[FloatArray, FloatArray, FloatArray] | None = None,
) -> SkyMap:
    """Map from ranges and their densities, checked, scaled to 1, sorted, with credible levels.

    Parameters
    ----------
    start, stop : ndarray of int64, shape (n,)
        Order-29 NESTED half-open ranges in any order.
    density : ndarray, shape (n,)
        Probability per steradian.
    distances : tuple of ndarray, each of shape (n,), optional
        DISTMU, DISTSIGMA, DISTNORM.

    Raises
    ------
    SkyMapError
        It cannot be a probability map; the text says why.
    """
    facts = facts or Facts()
    _check_values(density)
    if start.size == 0:
        raise SkyMapError("sky map has no cells")
    if (start[1:] < start[:-1]).any():
        by_place = np.argsort(start, kind="stable")
        start, stop, density = start[by_place], stop[by_place], density[by_place]
        distances = (distances[0][by_place], distances[1][by_place], distances[2][by_place]) if distances else None
    if start[0] < 0 or stop[-1] > NPIX29 or (stop <= start).any():
        raise SkyMapError("sky map has cells that are not on the sphere")
    overlaps = int((start[1:] < stop[:-1]).sum())
    if overlaps:
        raise SkyMapError(f"sky map has {overlaps} cells that overlap others: its cells must tile the sky once")
    prob = np.asarray((stop - start) * CELL_AREA, np.float64)
    prob *= density
    total = float(prob.sum())
    if not np.isfinite(total) or total <= 0.0:
        raise SkyMapError(f"sky map cannot be normalised: its probabilities sum to {total:g}")
    if abs(total - 1.0) > RENORMALISABLE:
        raise SkyMapError(f"sky map is not normalised: its probabilities sum to {total:.6g} instead of 1")
    prob /= total
    density = np.asarray(density / total, np.float64)
    mu, sigma, norm = distances or (None, None, None)
    if distances is None:  # what a header says of a distance that no cell has is of another map
        facts = replace(facts, distmean=None, diststd=None)
    return SkyMap(start, stop, prob, density, _levels(density, prob), mu, sigma, norm, replace(facts, total=total))


def _check_values(density: FloatArray) -> None:
    bad = int((~np.isfinite(density)).sum())
    if bad:
        raise SkyMapError(f"sky map has {bad} cells whose probability is not a finite number")
    negative = int((density < 0.0).sum())
    if negative:
        raise SkyMapError(f"sky map has {negative} cells of negative probability")


def _levels(density: FloatArray, prob: FloatArray) -> FloatArray:
    """Cumulative probability in order of falling density; ties share its upper end, whatever order they are stored in."""
    level = np.empty_like(density)
    accumulate(np.argsort(density), density, prob, level)
    return level


_ARRAYS: Final = ("start", "stop", "prob", "density", "level", "distmu", "distsigma", "distnorm")


def to_arrays(skymap: SkyMap) -> tuple[dict[str, IntArray | FloatArray | None], dict[str, Any]]:
    """Arrays and facts of a map, for keeping; `from_arrays` makes it again."""
    return {name: getattr(skymap, name) for name in _ARRAYS}, asdict(skymap.facts)


def from_arrays(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> SkyMap:
    """Map out of what `to_arrays` gave; arrays that are ``None`` may be missing."""
    return SkyMap(**{name: arrays.get(name) for name in _ARRAYS}, facts=Facts(**facts))  # type: ignore[arg-type]


def levels_at(skymap: SkyMap, hpx: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Credible level and density at points.

    Parameters
    ----------
    hpx : array_like of int64, shape (n,)
        Order-29 NESTED indices; negative for no position.

    Returns
    -------
    level, density : ndarray, shape (n,)
        1 and 0 outside the map; NaN where there is no position.
    """
    index = np.asarray(hpx, np.int64)
    # For many points, where each part of the sky begins among the ranges is worth finding out first: it leaves short searches.
    order = int(np.clip(np.log2(skymap.start.size / 3.0) / 2.0 if skymap.start.size > 3 else 0, 0, _FINEST_PARTS))
    if index.size < 12 << (2 * order):
        order = 0
    shift = 2 * (ORDER - order)
    coarse = np.searchsorted(skymap.start, np.arange((12 << (2 * order)) + 1, dtype=np.int64) << shift, side="right")
    points = np.ascontiguousarray(index).ravel()
    level, density = look_up(points, shift, coarse, skymap.start, skymap.stop, skymap.level, skymap.density)
    return level.reshape(index.shape), density.reshape(index.shape)


def area(skymap: SkyMap, probability: float) -> float:
    """Square degrees of the smallest region that holds a probability.

    The region ends inside a cell of the map: that cell counts by the share of its probability that is needed.

    Parameters
    ----------
    probability : float
        0 to 1.
    """
    held = skymap.density > 0.0
    inside = held & (skymap.level <= probability)
    reach = int((skymap.stop - skymap.start)[inside].sum())
    beyond = skymap.level[held & ~inside]
    if beyond.size:
        edge = held & (skymap.level == beyond.min())  # all of one density
        lacking = max(probability - float(skymap.prob[inside].sum()), 0.0)
        share = min(lacking / float(skymap.prob[edge].sum()), 1.0)
        return (reach + share * int((skymap.stop - skymap.start)[edge].sum())) * _SQUARE_DEGREES
    return reach * _SQUARE_DEGREES


def region(skymap: SkyMap, level: float) -> npt.NDArray[np.bool_]:
    """Which ranges make up the smallest region that holds at least a probability; ranges that tie in density go together.

    A map of one density all over, such as an annulus, is its own region at every level.
    """
    densest_beyond = skymap.density[skymap.level >= level].max(initial=0.0)
    return np.asarray((skymap.density >= densest_beyond) & (skymap.density > 0.0), np.bool_)


def credible_ranges(skymap: SkyMap, level: float) -> IntArray:
    """`region` as order-29 ranges.

    Returns
    -------
    ndarray of int64, shape (m, 2)
        Sorted, joined where they touch.
    """
    inside = region(skymap, level)
    return merge_ranges(skymap.start[inside], skymap.stop[inside])


def distance_moments(skymap: SkyMap) -> tuple[float, float] | None:
    """Mean and standard deviation of the distance over the whole sky in Mpc; ``None`` for a map without distances.

    From the header where it has both, else from the marginal distribution of the cells.
    """
    if skymap.facts.distmean is not None and skymap.facts.diststd is not None:
        return skymap.facts.distmean, skymap.facts.diststd
    if skymap.distmu is None or skymap.distsigma is None:
        return None
    return distance.marginal_moments(skymap.prob, skymap.distmu, skymap.distsigma)


def from_cone(ra: float, dec: float, radius: float, containment: float = 0.9) -> SkyMap:
    """Map of a position with a circular error: the Gaussian of the sphere (von Mises-Fisher).

    Parameters
    ----------
    ra, dec : float
        Degrees, ICRS.
    radius : float
        Degrees; holds the probability `containment`.
    containment : float
        Between 0 and 1, exclusive.

    Raises
    ------
    SkyMapError
        The position is off the sphere, or the radius or the containment is impossible.

    References
    ----------
    Fisher (1953), Proc. R. Soc. A 217, 295.
    """
    if not (np.isfinite(ra) and abs(dec) <= 90.0):
        raise SkyMapError(f"error circle at ra {ra}, dec {dec} is off the sphere")
    if not (0.0 < radius <= 180.0 and 0.0 < containment < 1.0):
        raise SkyMapError(f"error circle of radius {radius} degrees holding {containment} is impossible")
    start, stop, density, order = circle.gaussian_cells(ra, dec, radius, containment)
    return build(start, stop, density, Facts(order=order))
