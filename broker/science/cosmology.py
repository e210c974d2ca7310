"""Redshifts as distances, in the cosmology of Planck 2018 (results VI, 2020, A&A 641, A6, table 2)."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["luminosity_distance"]

FloatArray = npt.NDArray[np.float64]

_LIGHT: Final = 299_792.458  # km/s
_FARTHEST: Final = 20.0
_STEPS: Final = 4000  # in log(1 + z): the interpolation is right to 2e-6


def luminosity_distance(redshift: npt.ArrayLike) -> FloatArray:
    """Luminosity distance of redshifts.

    Parameters
    ----------
    redshift : array_like, shape (n,)
        Of the host, as measured.

    Returns
    -------
    ndarray, shape (n,)
        Mpc; NaN where the redshift is unknown, not above 0, or above 20.
    """
    z = np.asarray(redshift, np.float64)
    grid, distance = _table()
    known = (z > 0.0) & (z <= _FARTHEST)
    scale = np.log1p(np.where(known, z, 0.0))
    # D_L / z hardly bends, and so is what is interpolated.
    return np.asarray(np.where(known, np.interp(scale, grid, distance) * z, np.nan), np.float64)


@cache
def _table() -> tuple[FloatArray, FloatArray]:
    from astropy.cosmology import Planck18  # noqa: PLC0415 - takes half a second, and most alerts have no redshift

    # Integrated here, since astropy integrates with scipy, which is large and would be wanted for this alone.
    grid = np.linspace(0.0, np.log1p(_FARTHEST), _STEPS + 1)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    half = (grid[1] - grid[0]) / 2.0
    inside = np.expm1(grid[:-1, None] + half * (1.0 + nodes))
    integrand = np.asarray(Planck18.inv_efunc(inside.ravel())).reshape(inside.shape) * (1.0 + inside)  # dz = (1 + z) dx
    comoving = np.concatenate([[0.0], np.cumsum(integrand @ weights * half)])
    z = np.expm1(grid)
    ratio = np.ones_like(z)  # at 0: Hubble's law
    ratio[1:] = comoving[1:] * (1.0 + z[1:]) / z[1:]
    return grid, ratio * (_LIGHT / Planck18.H0.value)
