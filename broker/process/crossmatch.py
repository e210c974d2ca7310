"""Step: the nearest object of each catalogue, within the radius that the catalogue gives it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import healpy
import numpy as np
import numpy.typing as npt
import polars as pl

from broker.alert import Batch, Step
from broker.compiled import compiled
from broker.science.sky import ORDER
from broker.store.catalogs import Catalog, Tier, take

__all__ = ["crossmatch", "nearest"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FEW: Final = 48  # rows of a tier up to which looking at each costs less than finding the neighbouring cells
_EDGE: Final = 0.7
"""Opposite edges of a HEALPix cell are nowhere nearer than 0.7 / 2^order radians (0.841, 0.754, 0.730, ... falling to 0.71): a
circle of that radius lies within the cell of its centre and the eight around it. Same bound as in cdshealpix's cone search."""


def crossmatch(catalogs: Sequence[Catalog]) -> Step:
    """Step that adds, for each catalogue, ``<name>.sep`` (arcsec), ``<name>.id`` and its own columns under its name.

    Null where the alert has no position or nothing is near enough.
    """

    def step(batch: Batch) -> Batch:
        frame = batch.frame
        hpx = frame["hpx"].fill_null(-1).to_numpy()
        ra, dec = (frame[name].fill_null(np.nan).to_numpy() for name in ("ra", "dec"))
        added = [_columns(catalog, hpx, ra, dec) for catalog in catalogs]
        return replace(batch, frame=pl.concat([frame, *added], how="horizontal")) if added else batch

    return step


def _columns(catalog: Catalog, hpx: IntArray, ra: FloatArray, dec: FloatArray) -> pl.DataFrame:
    rows, sep = nearest(catalog, hpx, ra, dec)
    matched = np.flatnonzero(rows >= 0)
    found = take(catalog, rows[matched]).with_columns(pl.Series("sep", sep[matched] * 3600.0))
    place = np.full(rows.size, matched.size, np.int64)
    place[matched] = np.arange(matched.size)
    found = pl.concat([found, found.clear(1)])  # the last row, all null, is for those without a match
    columns = ["sep", *(name for name in found.columns if name != "sep")]
    return found[place].select(pl.col(name).alias(f"{catalog.name}.{name}") for name in columns)


def nearest(catalog: Catalog, hpx: IntArray, ra: FloatArray, dec: FloatArray) -> tuple[IntArray, FloatArray]:
    """Nearest row of a catalogue whose match radius reaches each position.

    Parameters
    ----------
    hpx : ndarray of int64, shape (n,)
        Order-29 NESTED; negative for no position.
    ra, dec : ndarray, shape (n,)
        Degrees.

    Returns
    -------
    rows : ndarray of int64, shape (n,)
        -1 where there is none.
    separation : ndarray, shape (n,)
        Degrees; infinite where there is none.
    """
    rows, best = np.full(hpx.size, -1, np.int64), np.full(hpx.size, np.inf)
    placed = np.flatnonzero(hpx >= 0)
    if placed.size:
        index, lon, lat = hpx[placed], np.radians(ra[placed]), np.radians(dec[placed])
        row, sep = np.full(placed.size, -1, np.int64), np.full(placed.size, np.inf)
        for tier in catalog.tiers:
            cells, shift = _cells(tier, index)
            _search(
                cells, shift, lon, lat, catalog.hpx, catalog.ra, catalog.dec, catalog.radius, tier.start, tier.stop, row, sep
            )
        rows[placed], best[placed] = row, np.degrees(sep)
    return rows, best


def _cells(tier: Tier, hpx: IntArray) -> tuple[IntArray, int]:
    """Cells to search for each position, shape (n, 9) with -1 for none, and by how much their numbers are shifted.

    A shift of 62 makes the whole sky one cell.
    """
    radius = math.radians(tier.radius)
    if tier.stop - tier.start <= _FEW or radius >= _EDGE:
        return np.zeros((hpx.size, 1), np.int64), 62
    order = min(math.floor(math.log2(_EDGE / radius)), ORDER - 1)
    shift = 2 * (ORDER - order)
    centre = hpx >> shift
    around = healpy.get_all_neighbours(1 << order, centre, nest=True)
    return np.ascontiguousarray(np.concatenate([centre[None], around]).T, np.int64), shift


@compiled
def _search(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    cells: npt.NDArray[np.int64],
    shift: int,
    lon: npt.NDArray[np.float64],
    lat: npt.NDArray[np.float64],
    hpx: npt.NDArray[np.int64],
    ra: npt.NDArray[np.float64],
    dec: npt.NDArray[np.float64],
    radius: npt.NDArray[np.float32],
    start: int,
    stop: int,
    row: npt.NDArray[np.int64],
    sep: npt.NDArray[np.float64],
) -> Any:
    """Lower `sep` (radians) and set `row` of each position to the nearest object of its cells that reaches it."""
    to_radians = math.pi / 180.0
    for i in range(lon.size):
        cosine = math.cos(lat[i])
        for k in range(cells.shape[1]):
            cell = cells[i, k]
            if cell < 0:
                continue
            low, high = start, stop
            first, last = cell << shift, (cell + 1) << shift
            while low < high:
                middle = (low + high) >> 1
                if hpx[middle] < first:
                    low = middle + 1
                else:
                    high = middle
            while low < stop and hpx[low] < last:
                limit = radius[low] * to_radians
                other = dec[low] * to_radians
                if abs(other - lat[i]) <= limit:
                    half = math.sin(0.5 * (other - lat[i]))
                    turn = math.sin(0.5 * (ra[low] * to_radians - lon[i]))
                    apart = 2.0 * math.asin(min(1.0, math.sqrt(half * half + cosine * math.cos(other) * turn * turn)))
                    if apart <= limit and apart < sep[i]:
                        sep[i] = apart
                        row[i] = low
                low += 1
