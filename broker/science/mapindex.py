"""Many sky maps looked up at once.

Maps are packed into one index: a coarse bitmap that tells which maps reach a part of the sky at all, and the maps' ranges one
after the other. A point costs what the maps cost in which it could lie, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled
from broker.science.sky import ORDER, merge_ranges
from broker.science.skymap import SkyMap, region

__all__ = ["NO_TIME", "MapIndex", "coarse_cells", "lookup", "pack"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

NO_TIME: Final = int(np.iinfo(np.int64).min)
"""In place of a time that is not known."""

_COARSE: Final = 8  # cells of 0.23 degrees, 786,432 of them: 6 MB for every 64 maps
_SHIFT: Final = 2 * (ORDER - _COARSE)


@dataclass(frozen=True, slots=True, eq=False)
class MapIndex:
    """Maps packed for `lookup`.

    Parameters
    ----------
    coarse : ndarray of uint64, shape (cells, words)
        Bit m of word w is set where map 64 w + m reaches the cell.
    bounds : ndarray of int64, shape (maps + 1,)
        Where each map's ranges begin.
    start, stop, level, density : ndarray
        Ranges of all maps within the threshold.
    event, window : ndarray of int64, shapes (maps,) and (maps, 2)
        Time of each map and the offsets from it that count, in microseconds.
    """

    coarse: npt.NDArray[np.uint64]
    bounds: IntArray
    start: IntArray
    stop: IntArray
    level: FloatArray
    density: FloatArray
    event: IntArray
    window: IntArray


def pack(maps: Sequence[SkyMap], event: Sequence[int], window: Sequence[tuple[int, int]], threshold: float) -> MapIndex:
    """Index of some maps.

    Parameters
    ----------
    event, window
        Of each map: its time, and the smallest and largest offset from it, in microseconds.
    threshold
        Probability of the region in which a map counts: see `broker.science.skymap.region`.
    """
    coarse = np.zeros((12 << (2 * _COARSE), -(-len(maps) // 64)), np.uint64)
    kept = [region(skymap, threshold) for skymap in maps]
    for number, (skymap, inside) in enumerate(zip(maps, kept, strict=True)):
        cells = coarse_cells(skymap.start[inside], skymap.stop[inside], _COARSE)
        coarse[cells, number // 64] |= np.uint64(1) << np.uint64(number % 64)
    return MapIndex(
        coarse,
        np.cumsum([0, *(int(inside.sum()) for inside in kept)]),
        np.concatenate([skymap.start[inside] for skymap, inside in zip(maps, kept, strict=True)]),
        np.concatenate([skymap.stop[inside] for skymap, inside in zip(maps, kept, strict=True)]),
        np.concatenate([skymap.level[inside] for skymap, inside in zip(maps, kept, strict=True)]),
        np.concatenate([skymap.density[inside] for skymap, inside in zip(maps, kept, strict=True)]),
        np.asarray(event, np.int64),
        np.asarray(window, np.int64),
    )


def coarse_cells(start: IntArray, stop: IntArray, order: int) -> IntArray:
    """Cells of a coarse order that order-29 ranges touch: NESTED indices, sorted."""
    shift = 2 * (ORDER - order)
    joined = merge_ranges(start >> shift, ((stop - 1) >> shift) + 1)
    return np.concatenate([np.arange(begin, end, dtype=np.int64) for begin, end in joined])


def lookup(index: MapIndex, hpx: IntArray, time: IntArray) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Every point in every map that reaches it in space and in time.

    Parameters
    ----------
    hpx : ndarray of int64, shape (n,)
        Order-29 NESTED; negative for no position.
    time : ndarray of int64, shape (n,)
        Microseconds on the scale of the maps' times, or `NO_TIME`.

    Returns
    -------
    point, map : ndarray of int64, shape (m,)
        Numbers of those that meet, in order of points and of maps.
    level, density : ndarray, shape (m,)
        Credible level, and probability per steradian.
    """
    point, number, row = _search(hpx, time, index.coarse, index.bounds, index.start, index.stop, index.event, index.window)
    return point, number, index.level[row], index.density[row]


@compiled
def _row(start: IntArray, low: int, high: int, value: int) -> int:
    """Last of the rows from `low` to `high` that begins at `value` or before; ``low - 1`` if none does."""
    while low < high:
        middle = (low + high) >> 1
        if start[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low - 1


@compiled
def _search(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    hpx: IntArray,
    time: IntArray,
    coarse: npt.NDArray[np.uint64],
    bounds: IntArray,
    start: IntArray,
    stop: IntArray,
    event: IntArray,
    window: IntArray,
) -> tuple[IntArray, IntArray, IntArray]:
    points = [0 for _ in range(0)]
    numbers = [0 for _ in range(0)]
    rows = [0 for _ in range(0)]
    for i in range(hpx.size):
        if hpx[i] < 0 or time[i] == NO_TIME:
            continue
        for word in range(coarse.shape[1]):
            bits = coarse[hpx[i] >> _SHIFT, word]
            number = 64 * word - 1
            while bits:
                number += 1
                here = bits & np.uint64(1)
                bits >>= np.uint64(1)
                dt = time[i] - event[number] if here else 0
                if not here or dt < window[number, 0] or dt > window[number, 1]:
                    continue
                row = _row(start, bounds[number], bounds[number + 1], hpx[i])
                if row >= bounds[number] and hpx[i] < stop[row]:
                    points.append(i)
                    numbers.append(number)
                    rows.append(row)
    return np.array(points, np.int64), np.array(numbers, np.int64), np.array(rows, np.int64)
