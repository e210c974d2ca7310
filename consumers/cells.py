"""A probability map of the sky as the cells of a multi-order HEALPix mesh (NESTED)."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import healpy
import numpy as np
import numpy.typing as npt

from consumers.errors import RequestError

__all__ = ["Cells", "coarser", "densest", "join", "read", "split", "split_where"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_FINEST: Final = 29


@dataclass(frozen=True)
class Cells:
    """Cells that do not overlap.

    Parameters
    ----------
    order
        HEALPix order of each: there are 12 x 4^order of one size on the sphere.
    pixel
        NESTED index.
    probability
        Of the cell.
    """

    order: Integers
    pixel: Integers
    probability: Floats

    def __len__(self) -> int:
        return int(self.order.size)

    def __getitem__(self, rows: Any) -> Cells:
        return Cells(self.order[rows], self.pixel[rows], self.probability[rows])

    @cached_property
    def start(self) -> Integers:
        """First order-29 pixel of each."""
        return self.pixel << 2 * (_FINEST - self.order)

    @cached_property
    def stop(self) -> Integers:
        """Order-29 pixel behind the last of each."""
        return (self.pixel + 1) << 2 * (_FINEST - self.order)

    @cached_property
    def position(self) -> tuple[Floats, Floats]:
        """Right ascension and declination of each centre, degrees, ICRS."""
        if not len(self):
            return np.empty(0), np.empty(0)
        ra, dec = healpy.pix2ang(1 << self.order, self.pixel, nest=True, lonlat=True)
        return np.asarray(ra, np.float64), np.asarray(dec, np.float64)

    @cached_property
    def vectors(self) -> Floats:
        """Unit vector of each centre, shape (n, 3)."""
        return np.column_stack(healpy.pix2vec(1 << self.order, self.pixel, nest=True)) if len(self) else np.empty((0, 3))

    @property
    def area(self) -> Floats:
        """Square degrees of each."""
        return (4.0 * np.pi * (180.0 / np.pi) ** 2 / 12.0) * 4.0 ** -self.order.astype(np.float64)

    @property
    def density(self) -> Floats:
        """Probability per square degree."""
        return self.probability / self.area


def read(data: bytes) -> Cells:
    """Cells of a multi-order FITS map, such as ``GET /api/v1/events/{name}/skymap`` gives, by place.

    Raises
    ------
    RequestError
        It is none, or has no probability.
    """
    from astropy.io import fits  # noqa: PLC0415 - what only looks at cells does without

    try:
        with fits.open(io.BytesIO(data)) as hdus:
            table = next(hdu.data for hdu in hdus if hdu.data is not None)
            uniq = np.asarray(table["UNIQ"], np.int64)
            density = np.asarray(table["PROBDENSITY"], np.float64)
    except (OSError, KeyError, StopIteration, TypeError, ValueError) as error:
        raise RequestError(f"no multi-order map with UNIQ and PROBDENSITY: {error}") from error
    if uniq.size and uniq.min() < 4:
        raise RequestError("no multi-order map: a UNIQ below 4 is no cell")
    order = np.searchsorted(4 ** np.arange(1, _FINEST + 2, dtype=np.int64), uniq, "right") - 1
    pixel = uniq - (np.int64(4) << 2 * order)
    cells = Cells(order, pixel, density * (np.pi / 3.0) * 4.0 ** -order.astype(np.float64))
    total = float(cells.probability.sum())
    if not np.isfinite(total):
        raise RequestError("the map has densities that are no numbers, so nothing can be planned for it")
    if total <= 0.0:
        raise RequestError("the map is empty: its probability is zero, so there is nothing to plan for")
    return cells[np.argsort(cells.start)]


def densest(cells: Cells, level: float, most_area: float = np.inf) -> Mask:
    """Which cells make up the smallest region that holds so much of the probability.

    Parameters
    ----------
    level
        0 to 1.
    most_area
        Square degrees that the region has at most, where that is less.
    """
    by_density = np.argsort(-cells.density, kind="stable")
    before = np.cumsum(cells.probability[by_density]) - cells.probability[by_density]
    used = np.cumsum(cells.area[by_density])
    inside = np.zeros(len(cells), np.bool_)
    total = float(cells.probability.sum())
    wanted = (before < level * total) & (cells.probability[by_density] > 0.0) & ((used <= most_area) | (before == 0.0))
    inside[by_density[wanted]] = True
    return inside


def split(cells: Cells, order: int, ranges: Integers | None = None) -> Cells:
    """Cells, those coarser than an order split until they are of it, each with its share of the probability.

    Parameters
    ----------
    ranges
        Where given, only what overlaps one of these ranges of order-29 pixels is split: sorted, disjoint, shape (n, 2).

    Returns
    -------
    Cells
        By place.
    """
    return split_where(
        cells, order, lambda some: np.ones(len(some), np.bool_) if ranges is None else _overlapping(some, ranges)
    )


def split_where(cells: Cells, order: int, which: Callable[[Cells], Mask]) -> Cells:
    """Cells, some of those coarser than an order split until they are of it, each with its share of the probability.

    Parameters
    ----------
    which
        Of cells of one order, by place: those to be split once; it is asked of their parts again.

    Returns
    -------
    Cells
        By place.
    """
    kept = [cells[cells.order >= order]]
    work = cells[cells.order < order]
    for level in range(int(work.order.min()) if len(work) else order, order):
        here = work[work.order == level]
        here = here[np.argsort(here.start)]
        chosen = which(here)
        kept.append(here[~chosen])
        cut = here[chosen]
        pixel = (4 * cut.pixel[:, None] + np.arange(4)).ravel()
        finer = Cells(np.full(pixel.size, level + 1), pixel, np.repeat(cut.probability / 4.0, 4))
        work = join([work[work.order != level], finer])
    found = join([*kept, work])
    return found[np.argsort(found.start)]


def coarser(cells: Cells, order: int) -> Cells:
    """Cells, those finer than an order put together to cells of it."""
    fine = cells.order > order
    parent = cells.pixel[fine] >> 2 * (cells.order[fine] - order)
    pixel, place = np.unique(parent, return_inverse=True)
    summed = np.bincount(place, weights=cells.probability[fine], minlength=pixel.size).astype(np.float64)
    return join([cells[~fine], Cells(np.full(pixel.size, order), pixel, summed)])


def join(parts: list[Cells]) -> Cells:
    """Cells of several lists as one."""
    return Cells(
        np.concatenate([part.order for part in parts]),
        np.concatenate([part.pixel for part in parts]),
        np.concatenate([part.probability for part in parts]),
    )


def _overlapping(cells: Cells, ranges: Integers) -> Mask:
    after = np.searchsorted(ranges[:, 1], cells.start, "right")
    known = after < len(ranges)
    found = np.zeros(len(cells), np.bool_)
    found[known] = ranges[after[known], 0] < cells.stop[known]
    return found
