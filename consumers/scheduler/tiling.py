"""Where to put fields, so that few of them hold a region of the sky."""

from __future__ import annotations

import math
from typing import Final

import healpy
import numpy as np
import numpy.typing as npt

from consumers.cells import Cells, split
from consumers.errors import RequestError
from consumers.scheduler.fields import Field, axes_at, order_for, touched

__all__ = ["centred", "tiles"]

Floats = npt.NDArray[np.float64]

_SHIFTS: Final = 8  # of the rows against the region: as many are tried
_BINS: Final = 96  # of a field, when the best place for one is looked for


def tiles(field: Field, cells: Cells, overlap: float) -> tuple[Floats, Floats]:
    """Centres of fields that hold every cell of a region, degrees.

    Fields lie in rows along declination that leave no gap between them. In each row they are put, from the widest gap on, so
    that each begins where the region goes on after the one before, which is the least number for a row. The rows are tried in
    eight places; the fewest fields win.

    Parameters
    ----------
    overlap
        Part of a side by which fields overlap, 0 to 0.9.
    """
    if not 0.0 <= overlap <= 0.9:
        raise RequestError(f"--overlap {overlap:g}: fields overlap by 0 to 0.9 of a side")
    side = np.sqrt(0.5) if field.circle else 1.0  # the square within a circle
    half = side * field.width / 2.0 * (1.0 - overlap), side * field.height / 2.0 * (1.0 - overlap)
    ra, dec = cells.position
    best: tuple[Floats, Floats] | None = None
    for shift in range(_SHIFTS):
        found = _rows_of_tiles(half, ra, dec, shift / _SHIFTS)
        if best is None or found[0].size < best[0].size:
            best = found
    assert best is not None
    return best


def _rows_of_tiles(half: tuple[float, float], ra: Floats, dec: Floats, shift: float) -> tuple[Floats, Floats]:
    rows = _rows(*half, shift)
    edges = np.array([low for _, low, _, _ in rows[1:]])
    number = np.searchsorted(edges, dec, "right")
    found: list[tuple[float, float]] = []
    for row in np.unique(number).tolist():
        middle, _, _, reach = rows[row]
        found += [(place, middle) for place in _along(ra[number == row], reach)]
    places = np.array(found)
    return places[:, 0], places[:, 1]


def _along(ra: Floats, reach: float) -> list[float]:
    """Fewest places so that each right ascension is within `reach` of one, degrees; all round the sky."""
    if reach >= 180.0:
        return [float(ra[0])]
    ordered = np.unique(ra % 360.0)
    gaps = np.diff(np.concatenate([ordered, ordered[:1] + 360.0]))
    first = (int(gaps.argmax()) + 1) % ordered.size
    unrolled = np.concatenate([ordered[first:], ordered[:first] + 360.0])
    groups: list[list[float]] = []  # begins of fields; those of a group follow one another without a gap to speak of
    at, end = 0, -np.inf
    while at < unrolled.size:
        begin = float(unrolled[at])
        if begin - end > 0.5 * reach:
            groups.append([])
        groups[-1].append(begin)
        at = int(np.searchsorted(unrolled, begin + 2.0 * reach, "right"))
        end = float(unrolled[at - 1])
        if at == unrolled.size or unrolled[at] - end > 0.5 * reach:
            groups[-1] = _spread(groups[-1], unrolled[(unrolled >= groups[-1][0]) & (unrolled <= end)], reach)
    return [(begin + reach) % 360.0 for group in groups for begin in group]


def _spread(begins: list[float], ra: Floats, reach: float) -> list[float]:
    """Begins of the fields of a group, side by side with the group in their middle, where that holds all of it."""
    count = len(begins)
    middle = (ra[0] + ra[-1]) / 2.0
    spread = middle + (np.arange(count) - count / 2.0) * 2.0 * reach
    return list(spread.tolist()) if spread[0] <= ra[0] and ra[-1] <= spread[-1] + 2.0 * reach else begins


def _rows(wide: float, high: float, shift: float) -> list[tuple[float, float, float, float]]:
    """Rows of fields from pole to pole: declination of the centres, of the lower and upper edge, reach along right ascension.

    Within the reach a field holds all from its row's lower to its upper edge, although its sides are great circles.

    Parameters
    ----------
    wide, high
        Half the sides, degrees.
    """
    first = shift * 2.0 * high
    rows = [(first, *_band(wide, high, first))]
    while rows[-1][2] < 90.0:
        rows.append(_next(wide, high, rows[-1][2]))
    while rows[0][1] > -90.0:
        middle, low, top, reach = _next(wide, high, -rows[0][1])
        rows.insert(0, (-middle, -top, -low, reach))
    return rows


def _next(wide: float, high: float, edge: float) -> tuple[float, float, float, float]:
    """The row north of a declination."""
    if 90.0 - edge <= min(wide, high):
        return 90.0, edge, 90.0, 180.0  # one field on the pole
    bottom, top = edge, min(edge + 2.0 * high, 90.0 - high)  # of where its centres can be
    if _band(wide, high, top)[0] <= edge:
        _, upper, reach = _band(wide, high, top)
        return top, edge, 90.0 if top >= 90.0 - high - 1e-9 else upper, reach
    for _ in range(50):
        middle = (bottom + top) / 2.0
        bottom, top = (middle, top) if _band(wide, high, middle)[0] <= edge else (bottom, middle)
    return (bottom, edge, *_band(wide, high, bottom)[1:])


def _band(wide: float, high: float, middle: float) -> tuple[float, float, float]:
    """Lower and upper declination between which a field at a declination holds all within a reach, and that reach, degrees."""
    lat, x, y = math.radians(middle), math.tan(math.radians(wide)), math.tan(math.radians(high))
    across = [math.cos(lat) - side * math.sin(lat) for side in (-y, y)]  # of the tangent plane's points on both sides
    reach = min(math.atan(x / max(one, 1e-12)) for one in across)
    ends = []
    for side, one in zip((-y, y), across, strict=True):
        corner = math.tan(reach) * max(one, 0.0)
        sine = (side * math.cos(lat) + math.sin(lat)) / math.sqrt(1.0 + corner**2 + y**2)
        ends.append(math.degrees(math.asin(max(-1.0, min(1.0, sine)))))
    return max(ends[0], middle - high), min(ends[1], middle + high), math.degrees(reach)


def centred(field: Field, cells: Cells, region: Cells) -> tuple[float, float]:
    """Where one field holds the most of a map, near the middle of a region of it that is not much larger; degrees.

    The map's probability is laid on a tangent plane in bins of a ninety-sixth of the field. Every place of the field among the
    bins is tried; where several are as good, the one nearest to the middle of what is there wins.
    """
    mean = region.probability @ region.vectors
    ra, dec = (float(value[0]) for value in healpy.vec2ang(mean / np.linalg.norm(mean), lonlat=True))
    centre, east, north = axes_at(ra, dec)
    cells = split(cells, order_for(field), touched(ra, dec, min(80.0, 3.0 * field.radius)))
    along = cells.vectors @ centre
    near = along > np.cos(np.radians(min(80.0, 3.0 * field.radius)))
    x, y = (cells.vectors[near] @ axis / along[near] for axis in (east, north))
    weight = cells.probability[near]
    wide, high = field.tangents
    step = 2.0 * wide / _BINS, 2.0 * high / _BINS
    reach = 3.0 * _BINS // 2
    edges = [np.arange(-reach, reach + 1) * one for one in step]
    counts = np.histogram2d(x, y, edges, weights=weight)[0]
    held = _boxes(counts, _disc() if field.circle else None)
    best = np.argwhere(held >= held.max() - 1e-9 * weight.sum())
    middles = (best + _BINS / 2.0 - reach) * step
    mid = np.array([np.average(x, weights=weight), np.average(y, weights=weight)])
    at = middles[np.argmin(np.hypot(*(middles - mid).T))]
    vector = centre + at[0] * east + at[1] * north
    lon, lat = healpy.vec2ang(vector, lonlat=True)
    return float(lon[0]), float(lat[0])


def _disc() -> npt.NDArray[np.int64]:
    """Half the length of a round field's row of bins, for each of its rows."""
    rows = np.arange(_BINS) + 0.5 - _BINS / 2.0
    return np.asarray(np.floor(np.sqrt((_BINS / 2.0) ** 2 - rows**2)), np.int64)


def _boxes(counts: Floats, rows: npt.NDArray[np.int64] | None) -> Floats:
    """What a field holds whose lower corner is at each bin."""
    sums = np.pad(counts.cumsum(axis=1), ((0, 0), (1, 0)))
    last = counts.shape[0] - _BINS + 1
    if rows is None:
        total = np.pad(sums.cumsum(axis=0), ((1, 0), (0, 0)))
        return np.asarray(
            total[_BINS:, _BINS:] - total[:-_BINS, _BINS:] - total[_BINS:, :-_BINS] + total[:-_BINS, :-_BINS], np.float64
        )
    held = np.zeros((last, last))
    for row, half in enumerate(rows.tolist()):
        left, right = _BINS // 2 - half, _BINS // 2 + half
        held += sums[row : row + last, right : right + last] - sums[row : row + last, left : left + last]
    return held
