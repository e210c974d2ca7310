"""The compiled loops of sky maps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled

__all__ = ["accumulate", "look_up"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@compiled
def accumulate(rising: IntArray, density: FloatArray, prob: FloatArray, level: FloatArray) -> None:
    """Credible levels into `level`, from cells in order of rising density."""
    total = 0.0
    last = rising.size - 1
    while last >= 0:
        value = density[rising[last]]
        first = last
        while first >= 0 and density[rising[first]] == value:
            total += prob[rising[first]]
            first -= 1
        upper = min(total, 1.0) if value > 0.0 else 1.0
        for i in range(first + 1, last + 1):
            level[rising[i]] = upper
        last = first


@compiled
def look_up(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    hpx: IntArray,
    shift: int,
    coarse: IntArray,
    start: IntArray,
    stop: IntArray,
    levels: FloatArray,
    densities: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Credible level and density of points; `coarse` has, for each part of the sky, how many ranges begin up to there."""
    level = np.ones(hpx.size)
    density = np.zeros(hpx.size)
    for i in range(hpx.size):
        value = hpx[i]
        part = value >> shift
        if value < 0:
            level[i] = np.nan
            density[i] = np.nan
            continue
        if part >= coarse.size - 1:
            continue
        low, high = coarse[part], coarse[part + 1]
        while low < high:
            middle = (low + high) >> 1
            if start[middle] <= value:
                low = middle + 1
            else:
                high = middle
        if low > 0 and value < stop[low - 1]:
            level[i] = levels[low - 1]
            density[i] = densities[low - 1]
    return level, density
