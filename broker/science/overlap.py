"""How far two sky maps agree, and the map of both together.

Both are exact: the ranges of the two maps are walked through side by side, and every stretch between two breakpoints of either
has one density of each. Nothing is sampled at cell centres.

References
----------
Ashton et al. (2018), ApJ 860, 6, doi 10.3847/1538-4357/aabfd2: the overlap integral.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled
from broker.errors import SkyMapError
from broker.science import distance
from broker.science.sky import CELL_AREA
from broker.science.skymap import Facts, SkyMap, build

__all__ = ["combine", "overlap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SKY: Final = 4.0 * np.pi


@compiled
def _integral(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    start1: IntArray, stop1: IntArray, density1: FloatArray, start2: IntArray, stop2: IntArray, density2: FloatArray
) -> float:
    """Sum of p1 p2 over all cells of order 29, in cells; Neumaier's summation keeps the digits of many small terms."""
    total, lost = 0.0, 0.0
    i = j = 0
    while i < start1.size and j < start2.size:
        low, high = max(start1[i], start2[j]), min(stop1[i], stop2[j])
        if high > low:
            term = density1[i] * density2[j] * (high - low)
            summed = total + term
            lost += (total - summed) + term if total >= term else (term - summed) + total
            total = summed
        if stop1[i] <= stop2[j]:
            i += 1
        else:
            j += 1
    return total + lost


@compiled
def _common(  # noqa: PLR0917 - likewise
    start1: IntArray, stop1: IntArray, density1: FloatArray, start2: IntArray, stop2: IntArray, density2: FloatArray
) -> tuple[IntArray, IntArray]:
    """Numbers of the ranges of both maps that share sky on which neither is 0, pair by pair in order of place."""
    most = start1.size + start2.size
    first, second = np.empty(most, np.int64), np.empty(most, np.int64)
    count = i = j = 0
    while i < start1.size and j < start2.size:
        if min(stop1[i], stop2[j]) > max(start1[i], start2[j]) and density1[i] > 0.0 and density2[j] > 0.0:
            first[count], second[count] = i, j
            count += 1
        if stop1[i] <= stop2[j]:
            i += 1
        else:
            j += 1
    return first[:count], second[:count]


def overlap(a: SkyMap, b: SkyMap) -> float:
    """Overlap integral ``4 pi ∫ p1 p2 dΩ / (∫ p1 dΩ ∫ p2 dΩ)``.

    Returns
    -------
    float
        1 where either map knows nothing (one density all over), more where they agree, 0 where they have no sky in common.
    """
    found = _integral(a.start, a.stop, a.density, b.start, b.stop, b.density)
    return float(_SKY * CELL_AREA * found / (float(a.prob.sum()) * float(b.prob.sum())))


def combine(a: SkyMap, b: SkyMap) -> SkyMap:
    """Map of a source that both maps are of: the product of their densities, scaled to 1.

    Distances are those of `a`, or of `b` where `a` has none: each new range has the parameters of the range it was cut from.
    Mean and scatter of the distance over the whole sky are computed anew, as the weights are others.

    Raises
    ------
    SkyMapError
        The maps have no sky in common.
    """
    first, second = _common(a.start, a.stop, a.density, b.start, b.stop, b.density)
    start = np.maximum(a.start[first], b.start[second])
    stop = np.minimum(a.stop[first], b.stop[second])
    one, other = a.density[first], b.density[second]
    # By their maxima there, so that the product of two densities far from 1 keeps its digits.
    density = (one / one.max(initial=0.0)) * (other / other.max(initial=0.0))
    held = density > 0.0
    total = float((density * (stop - start)).sum()) * CELL_AREA
    if not total > 0.0:
        raise SkyMapError("sky maps do not overlap: where one has probability the other has none, and no map is of both")
    deep, rows = (a, first[held]) if a.is_3d else (b, second[held])
    distances = None
    if deep.distmu is not None and deep.distsigma is not None and deep.distnorm is not None:
        distances = (deep.distmu[rows], deep.distsigma[rows], deep.distnorm[rows])
    facts = Facts(
        order=max(a.facts.order, b.facts.order),
        name=" + ".join(dict.fromkeys(filter(None, (a.facts.name, b.facts.name)))),
        time=a.facts.time or b.facts.time,
        creator="nuncius",
        instruments=",".join(dict.fromkeys(filter(None, (a.facts.instruments, b.facts.instruments)))),
    )
    combined = build(start[held], stop[held], density[held] / total, facts, distances)
    if distances is None:
        return combined
    mean, std = distance.marginal_moments(combined.prob, distances[0], distances[1]) or (None, None)
    return replace(combined, facts=replace(combined.facts, distmean=mean, diststd=std))
