"""Targets on the sky with a radius each: which is nearest to a position, and whether any reaches it.

Targets are kept in a tree of boxes around their unit vectors. In three dimensions poles and the meridian are places like any
other, and a tree costs about as much where a million targets crowd into one field as where they are spread over the sky.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled

__all__ = ["TargetIndex", "index_targets", "match"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_LEAF: Final = 8  # targets of a box that is not divided further
_DEPTH: Final = 64  # more than the levels of any tree, twice


@dataclass(frozen=True, slots=True, eq=False)
class TargetIndex:
    """Targets arranged for `match`.

    Parameters
    ----------
    row : ndarray of int64, shape (n,)
        Which target stands at each place: neighbours on the sky stand together.
    place : ndarray, shape (n, 3)
        Unit vectors.
    reach : ndarray, shape (n,)
        Square of the chord of each target's radius.
    box : ndarray, shape (nodes, 6)
        Smallest and largest coordinates of each node of a binary tree; node i is divided into 2 i + 1 and 2 i + 2.
    widest : ndarray, shape (nodes,)
        Largest `reach` of a node's targets.
    levels : int
        Of the tree below its root.
    """

    row: IntArray
    place: FloatArray
    reach: FloatArray
    box: FloatArray
    widest: FloatArray
    levels: int

    def __len__(self) -> int:
        return int(self.row.size)


def index_targets(ra: npt.ArrayLike, dec: npt.ArrayLike, radius: npt.ArrayLike) -> TargetIndex:
    """Arrange targets.

    Parameters
    ----------
    ra, dec, radius : array_like, shape (n,)
        Degrees; the radius is one for all, or one a target, up to 180.
    """
    place = _vectors(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    reach = np.broadcast_to(_chord2(np.asarray(radius, np.float64)), (len(place),)).copy()
    levels = max(0, math.ceil(math.log2(max(1, len(place)) / _LEAF)))
    nodes = (2 << levels) - 1
    row, box, widest = np.arange(len(place)), np.empty((nodes, 6)), np.empty(nodes)
    _arrange(place, reach, row, box, widest, levels)
    return TargetIndex(row, place, reach, box, widest, levels)


def match(
    index: TargetIndex, ra: npt.ArrayLike, dec: npt.ArrayLike, within: float = 1.0
) -> tuple[IntArray, FloatArray, npt.NDArray[np.bool_]]:
    """The nearest target of each position, and whether some target, near or far, reaches it.

    Parameters
    ----------
    ra, dec : array_like, shape (m,)
        Degrees; NaN for no position.
    within : float
        Degrees beyond which a target is not near.

    Returns
    -------
    row : ndarray of int64, shape (m,)
        The nearest target, the first of those equally near; -1 where none is.
    separation : ndarray, shape (m,)
        Degrees; infinite where none is near.
    inside : ndarray of bool, shape (m,)
        Whether the position is no farther from any target than that target's own radius.
    """
    points = _vectors(np.asarray(ra, np.float64), np.asarray(dec, np.float64))
    row, apart = np.full(len(points), -1, np.int64), np.full(len(points), np.inf)
    inside = np.zeros(len(points), np.bool_)
    if len(index):
        limit = float(_chord2(np.float64(within)))
        _search(points, index.row, index.place, index.reach, index.box, index.widest, index.levels, limit, row, apart, inside)
    found = row >= 0
    separation = np.full(len(points), np.inf)
    separation[found] = np.degrees(2.0 * np.arcsin(np.minimum(1.0, 0.5 * np.sqrt(apart[found]))))
    return row, separation, inside


def _vectors(ra: FloatArray, dec: FloatArray) -> FloatArray:
    lon, lat = np.radians(ra), np.radians(dec)
    return np.ascontiguousarray(np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]))


def _chord2(degrees: FloatArray | np.float64) -> FloatArray:
    """Square of the straight line between two points so far apart on the unit sphere."""
    return np.asarray(4.0 * np.sin(0.5 * np.radians(np.minimum(degrees, 180.0))) ** 2, np.float64)


@compiled
def _arrange(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    place: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
    row: npt.NDArray[np.int64],
    box: npt.NDArray[np.float64],
    widest: npt.NDArray[np.float64],
    levels: int,
) -> Any:
    """Put targets into halves of halves, each cut across its longest side, and measure every box."""
    n = row.size
    for level in range(levels + 1):
        for k in range(1 << level):
            node = (1 << level) - 1 + k
            start, stop = (n * k) >> level, (n * (k + 1)) >> level
            widest[node] = _measure(place, reach, start, stop, box[node])
            if level < levels:
                longest = int(np.argmax(box[node, 3:] - box[node, :3]))
                _halve(place, reach, row, start, stop, (n * (2 * k + 1)) >> (level + 1), longest)


@compiled
def _measure(
    place: npt.NDArray[np.float64], reach: npt.NDArray[np.float64], start: int, stop: int, box: npt.NDArray[np.float64]
) -> Any:
    """Set the box around some targets, and give the largest of their reaches."""
    box[:3], box[3:] = np.inf, -np.inf
    widest = -1.0
    for i in range(start, stop):
        for axis in range(3):
            box[axis] = min(box[axis], place[i, axis])
            box[3 + axis] = max(box[3 + axis], place[i, axis])
        widest = max(widest, reach[i])
    return widest


@compiled
def _halve(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    place: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
    row: npt.NDArray[np.int64],
    start: int,
    stop: int,
    middle: int,
    axis: int,
) -> Any:
    """Quickselect: no target before `middle` has a larger coordinate than one behind it."""
    low, high = start, stop - 1
    while low < high:
        pivot = place[(low + high) >> 1, axis]
        i, j = low, high
        while i <= j:
            while place[i, axis] < pivot:
                i += 1
            while place[j, axis] > pivot:
                j -= 1
            if i <= j:
                row[i], row[j] = row[j], row[i]
                reach[i], reach[j] = reach[j], reach[i]
                for k in range(3):
                    place[i, k], place[j, k] = place[j, k], place[i, k]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@compiled
def _from_box(box: npt.NDArray[np.float64], x: float, y: float, z: float) -> Any:
    """Square of the distance to a box; 0 inside."""
    dx = max(box[0] - x, x - box[3], 0.0)
    dy = max(box[1] - y, y - box[4], 0.0)
    dz = max(box[2] - z, z - box[5], 0.0)
    return dx * dx + dy * dy + dz * dz


@compiled
def _search(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    points: npt.NDArray[np.float64],
    row: npt.NDArray[np.int64],
    place: npt.NDArray[np.float64],
    reach: npt.NDArray[np.float64],
    box: npt.NDArray[np.float64],
    widest: npt.NDArray[np.float64],
    levels: int,
    limit: float,
    nearest: npt.NDArray[np.int64],
    apart: npt.NDArray[np.float64],
    inside: npt.NDArray[np.bool_],
) -> Any:
    """Set `nearest` and `apart` (square of the chord) where a target is within `limit`, and `inside`."""
    n, leaves = row.size, (1 << levels) - 1
    stack = np.empty(_DEPTH, np.int64)
    for p in range(points.shape[0]):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
            continue
        best, found, covered = limit, np.int64(-1), False
        stack[0], depth = 0, 1
        while depth:
            depth -= 1
            node = stack[depth]
            far = _from_box(box[node], x, y, z)
            # A box goes on being of interest while it may hold a nearer target, or one that reaches the position.
            if far > best and (covered or far > widest[node]):
                continue
            if node < leaves:
                left, right = 2 * node + 1, 2 * node + 2
                # The nearer half is looked at first: what is found there spares much of the other.
                if _from_box(box[left], x, y, z) <= _from_box(box[right], x, y, z):
                    stack[depth], stack[depth + 1] = right, left
                else:
                    stack[depth], stack[depth + 1] = left, right
                depth += 2
                continue
            k = node - leaves
            for i in range((n * k) >> levels, (n * (k + 1)) >> levels):
                dx, dy, dz = place[i, 0] - x, place[i, 1] - y, place[i, 2] - z
                chord2 = dx * dx + dy * dy + dz * dz
                covered = covered or chord2 <= reach[i]
                if chord2 < best or (chord2 == best and (found < 0 or row[i] < found)):
                    best, found = chord2, row[i]
        nearest[p], inside[p] = found, covered
        if found >= 0:
            apart[p] = best
