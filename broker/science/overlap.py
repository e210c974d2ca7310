"""Two sky maps over each other: how well they agree, and what both together say.

Both are exact on the ranges that the maps' own ranges cut each other into; nothing is rastered anew.

References
----------
Ashton et al. (2018), ApJ 860, 6: the overlap integral. Singer et al. (2016), ApJL 829, L15: distances along a line of sight.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from broker.errors import SkyMapError
from broker.science.sky import CELL_AREA
from broker.science.skymap import Facts, SkyMap, build

__all__ = ["combine", "overlap"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def overlap(a: SkyMap, b: SkyMap) -> float:
    r"""How much likelier it is to find both maps where they are if they tell of one place than if of two unrelated ones.

    .. math:: I = 4 \pi \frac{\int p_1 p_2 d\Omega}{\int p_1 d\Omega \int p_2 d\Omega}

    Returns
    -------
    float
        1 for a map that says nothing, beside any other; 0 for maps that have no place in common.
    """
    start, stop, row_a, row_b = _crossed(a.start, a.stop, b.start, b.stop)
    shared = float((a.density[row_a] * b.density[row_b] * ((stop - start) * CELL_AREA)).sum())
    return 4.0 * math.pi * shared / (float(a.prob.sum()) * float(b.prob.sum()))


def combine(a: SkyMap, b: SkyMap) -> SkyMap:
    """Map of what both say of one place: the product of their densities, scaled to 1.

    The distances of the one that has them are carried over, those of `a` where both have; the mean distance is of the new map.

    Raises
    ------
    SkyMapError
        They have no place in common.
    """
    start, stop, row_a, row_b = _crossed(a.start, a.stop, b.start, b.stop)
    product = a.density[row_a] * b.density[row_b]
    kept = product > 0.0
    total = float((product * ((stop - start) * CELL_AREA)).sum())
    if not kept.any() or not total > 0.0:
        raise SkyMapError("the sky maps have no place in common: they cannot be combined")
    rows = row_a if a.is_3d else row_b
    deep = a if a.is_3d else b
    distances = None
    if deep.distmu is not None and deep.distsigma is not None and deep.distnorm is not None:
        distances = (deep.distmu[rows][kept], deep.distsigma[rows][kept], deep.distnorm[rows][kept])
    names = [each.facts.name for each in (a, b) if each.facts.name]
    instruments = ",".join(each.facts.instruments for each in (a, b) if each.facts.instruments)
    facts = Facts(order=max(a.facts.order, b.facts.order), name=" + ".join(names), instruments=instruments)
    return build(start[kept], stop[kept], product[kept] / total, facts, distances)


def _crossed(
    start_a: IntArray, stop_a: IntArray, start_b: IntArray, stop_b: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Ranges that both have, and which range of each it is of."""
    most = start_a.size + start_b.size
    out = np.empty((4, most), np.int64)
    count = _cross(start_a, stop_a, start_b, stop_b, out)
    return out[0, :count], out[1, :count], out[2, :count], out[3, :count]


@numba.njit(cache=True, nogil=True)
def _cross(start_a: IntArray, stop_a: IntArray, start_b: IntArray, stop_b: IntArray, out: IntArray) -> int:
    i = j = count = 0
    while i < start_a.size and j < start_b.size:
        low, high = max(start_a[i], start_b[j]), min(stop_a[i], stop_b[j])
        if low < high:
            out[0, count], out[1, count], out[2, count], out[3, count] = low, high, i, j
            count += 1
        if stop_a[i] <= stop_b[j]:
            i += 1
        else:
            j += 1
    return count
