"""Annuli as probability maps: where a burst lies whose arrival two spacecraft timed, as the Interplanetary Network (IPN) does.

References
----------
Hurley et al. (2013), ApJS 207, 39: the annulus is a Gaussian across; half-widths are given at 3 sigma, at times at 1.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled
from broker.errors import SkyMapError
from broker.science.circle import refined
from broker.science.sky import CELL_AREA, ORDER, cell_width
from broker.science.skymap import Facts, SkyMap, build

__all__ = ["from_annulus"]

FloatArray = npt.NDArray[np.float64]

_STEPS_A_SIGMA: Final = 4.0  # cells across one standard deviation, as long as the ring is not too long for it
_REACH: Final = 4.5  # standard deviations that are resolved
_CELLS: Final = 1 << 20  # of a long and thin annulus; its cells are wider than it then, and so is its area
_RIM: Final = 2.4  # widths of cells by which a ring of small cells is thicker than what it is to cover


def from_annulus(ra: float, dec: float, radius: float, half_width: float, sigmas: float = 3.0) -> SkyMap:
    """Map of an annulus, a Gaussian across it and uniform along it.

    Parameters
    ----------
    ra, dec : float
        Centre in degrees, ICRS.
    radius : float
        Of the middle of the annulus, degrees.
    half_width : float
        Degrees to each side.
    sigmas : float
        How many standard deviations the half-width is: 3 as the IPN gives it, 1 in some circulars.

    Raises
    ------
    SkyMapError
        The centre is off the sphere, or a radius or width is impossible.
    """
    if not (np.isfinite(ra) and abs(dec) <= 90.0):
        raise SkyMapError(f"annulus around ra {ra}, dec {dec} is off the sphere")
    if not (0.0 < radius < 180.0 and 0.0 < half_width < 90.0 and 0.1 <= sigmas <= 10.0):
        raise SkyMapError(f"annulus of radius {radius} and half-width {half_width} degrees at {sigmas} sigma is impossible")
    sigma = math.radians(half_width / sigmas)
    middle = math.radians(radius)
    wanted = math.log2(math.radians(cell_width(0)) * _STEPS_A_SIGMA / sigma)
    affordable = math.log2(math.radians(cell_width(0)) / _coarsest(middle, 2.0 * _REACH * sigma))
    finest = int(np.clip(min(math.ceil(wanted), math.floor(affordable)), 3, ORDER))
    index, order, sine2 = refined(ra, dec, middle, _REACH * sigma, finest)
    shift = 2 * (ORDER - order)
    start, stop = index << shift, (index + 1) << shift
    across = 2.0 * np.arcsin(np.minimum(np.sqrt(sine2), 1.0)) - middle
    density = _across(across, np.radians(cell_width(0)) / (1 << order), sigma)
    density /= float((density * (stop - start)).sum()) * CELL_AREA
    return build(start, stop, density, Facts(order=int(order.max())))


def _coarsest(middle: float, thickness: float) -> float:
    """Width of cells, in radians, of which no more than `_CELLS` are on a ring, those that it only touches among them."""
    length = 2.0 * math.pi * math.sin(middle) + math.pi * thickness
    rim = _RIM * length
    return (rim + math.sqrt(rim * rim + 4.0 * _CELLS * thickness * length)) / (2.0 * _CELLS)


@compiled
def _across(offset: FloatArray, width: FloatArray, sigma: float) -> FloatArray:
    """Mean of the Gaussian over cells that lie off the middle: right for cells wider than the annulus too."""
    out = np.empty(offset.size)
    scale = 1.0 / (sigma * math.sqrt(2.0))
    for i in range(offset.size):
        near, far = (abs(offset[i]) - 0.5 * width[i]) * scale, (abs(offset[i]) + 0.5 * width[i]) * scale
        if near > 0.5:
            out[i] = (math.erfc(near) - math.erfc(far)) / width[i]
        else:
            out[i] = (math.erf(far) - math.erf(near)) / width[i]
    return out
