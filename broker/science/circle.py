"""Error circles as probability over HEALPix cells: the Gaussian of the sphere.

References
----------
Fisher (1953), Proc. R. Soc. A 217, 295.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from broker.science.sky import CELL_AREA, ORDER, cell_width

__all__ = ["Circle", "areas", "concentration", "gaussian_cells", "refined"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_STEPS_A_SIGMA = 8  # cells across one standard deviation
_REACH = 4.5  # standard deviations that are resolved; 4e-5 of the probability lies further out


@dataclass(frozen=True, slots=True)
class Circle:
    """A position with a circular error: centre and radius in degrees, ICRS, and the probability the radius holds."""

    ra: float
    dec: float
    radius: float
    containment: float


def areas(circle: Circle, probabilities: Sequence[float]) -> tuple[float, ...]:
    """Areas in square degrees of the smallest regions that hold so much probability.

    A cap of radius r covers ``4 pi sin²(r / 2)``; `concentration` gives what it holds, here solved for its size.
    """
    kappa = concentration(float(np.radians(circle.radius)), circle.containment)
    whole = 4.0 * np.pi * np.degrees(1.0) ** 2
    if kappa == 0.0:
        return tuple(float(whole * held) for held in probabilities)
    return tuple(float(-whole * np.log1p(held * np.expm1(-2.0 * kappa)) / (2.0 * kappa)) for held in probabilities)


def concentration(radius: float, containment: float) -> float:
    """Parameter kappa of the distribution that holds `containment` within `radius`; 0 where even all the sky alike holds more.

    Solves ``(1 - exp(-2 kappa s)) / (1 - exp(-2 kappa)) = containment`` with ``s = sin²(radius / 2)`` by bisection.

    Parameters
    ----------
    radius : float
        Radians.
    containment : float
        Between 0 and 1, exclusive.
    """
    half = np.sin(radius / 2.0) ** 2
    if half >= containment:
        return 0.0
    low, high = -50.0, float(np.log(-np.log1p(-containment) / (2.0 * half))) + 1.0  # of the logarithm
    for _ in range(100):
        middle = 0.5 * (low + high)
        twice = 2.0 * np.exp(middle)
        held = np.expm1(-twice * half) / np.expm1(-twice)
        low, high = (middle, high) if held < containment else (low, middle)
    return float(np.exp(0.5 * (low + high)))


def gaussian_cells(ra: float, dec: float, radius: float, containment: float) -> tuple[IntArray, IntArray, FloatArray, int]:
    """Cells that tile the sky, small where the distribution is steep, with their densities.

    Parameters
    ----------
    ra, dec, radius : float
        Degrees, ICRS; the radius holds the probability `containment`.

    Returns
    -------
    start, stop : ndarray of int64, shape (n,)
        Order-29 NESTED half-open ranges.
    density : ndarray, shape (n,)
        Probability per steradian; the whole sums to 1.
    order : int
        Of the smallest cells.
    """
    kappa = concentration(float(np.radians(radius)), containment)
    sigma = min(float(1.0 / np.sqrt(kappa)), np.pi) if kappa > 0.0 else np.pi
    finest = int(np.clip(np.ceil(np.log2(cell_width(0) * _STEPS_A_SIGMA / np.degrees(sigma))), 3, ORDER))
    index, order, sine2 = refined(ra, dec, 0.0, _REACH * sigma, finest)
    shift = 2 * (ORDER - order)
    start, stop = index << shift, (index + 1) << shift
    density = np.exp(-2.0 * kappa * sine2)
    density /= float((density * (stop - start)).sum()) * CELL_AREA
    return start, stop, density, int(order.max())


def refined(ra: float, dec: float, radius: float, reach: float, finest: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Cells that tile the sky, small where they are near a ring.

    Parameters
    ----------
    ra, dec : float
        Centre of the ring, degrees.
    radius, reach : float
        Radians: of the ring, 0 for a point, and how far from it cells are small.
    finest : int
        Order of the smallest cells.

    Returns
    -------
    index, order : ndarray of int64, shape (n,)
        NESTED.
    sine2 : ndarray, shape (n,)
        sin² of half the distance from the centre.
    """
    import healpy  # noqa: PLC0415 - takes a second to load, and few verbs need it

    centre = np.asarray(healpy.ang2vec(ra % 360.0, dec, lonlat=True))
    cells = np.arange(12, dtype=np.int64)
    kept: list[tuple[IntArray, IntArray, FloatArray]] = []
    for order in range(finest + 1):
        vectors = np.column_stack(healpy.pix2vec(1 << order, cells, nest=True))
        sine2 = 0.25 * ((vectors - centre) ** 2).sum(axis=1)
        gap = np.abs(2.0 * np.arcsin(np.minimum(np.sqrt(sine2), 1.0)) - radius) - 1.2 * np.radians(cell_width(order))
        split = (gap < reach) & (order < finest)
        done = cells[~split]
        kept.append((done, np.full(done.size, order, np.int64), sine2[~split]))
        cells = (4 * cells[split][:, None] + np.arange(4, dtype=np.int64)).ravel()
    index, orders, sines = (np.concatenate(part) for part in zip(*kept, strict=True))
    return index, orders, sines
