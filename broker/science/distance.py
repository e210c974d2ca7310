"""Distances of three-dimensional sky maps.

Along a line of sight the distance follows ``p(r) = DISTNORM r² N(r; DISTMU, DISTSIGMA)``, r > 0 (Singer et al. 2016, ApJL 829,
L15). DISTMU may be hugely negative or infinite, and DISTNORM then 1e52: nothing here depends on their product.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled

__all__ = ["conditional_moments", "marginal_moments", "tail"]

FloatArray = npt.NDArray[np.float64]

_FAR = -20.0  # DISTMU / DISTSIGMA below which the recurrence loses its digits and the asymptotic series has them


@compiled
def tail(n: int, a: float) -> float:
    """Leading terms of ``∫ t^n exp(-a t - t²/2) dt`` over t > 0 for large a."""
    terms = 1.0 - (n + 1) * (n + 2) / (2.0 * a * a) + (n + 1) * (n + 2) * (n + 3) * (n + 4) / (8.0 * a**4)
    return math.gamma(n + 1.0) / a ** (n + 1) * terms


@compiled
def _moments(mu: npt.NDArray[np.float64], sigma: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out = np.empty((mu.size, 2))
    for i in range(mu.size):
        m, s = mu[i], sigma[i]
        if not (np.isfinite(m) and np.isfinite(s) and s > 0.0):
            out[i, 0] = np.nan
            out[i, 1] = np.nan
            continue
        a = m / s
        if a < _FAR:
            second, third, fourth = tail(2, -a), tail(3, -a), tail(4, -a)
        else:
            # ∫ t^k N(t; a, 1) dt over t > 0 obeys M_k = a M_{k-1} + (k - 1) M_{k-2}
            zeroth = 0.5 * math.erfc(-a / math.sqrt(2.0))
            first = a * zeroth + math.exp(-0.5 * a * a) / math.sqrt(2.0 * math.pi)
            second = a * first + zeroth
            third = a * second + 2.0 * first
            fourth = a * third + 3.0 * second
        out[i, 0] = s * third / second
        out[i, 1] = s * s * fourth / second
    return out


def conditional_moments(distmu: npt.ArrayLike, distsigma: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the distance along lines of sight.

    Parameters
    ----------
    distmu, distsigma : array_like, shape (n,)
        Mpc.

    Returns
    -------
    mean, std : ndarray, shape (n,)
        Mpc; NaN where the parameters say nothing (not finite, or a spread that is not positive).
    """
    moments = _moments(np.ascontiguousarray(distmu, np.float64), np.ascontiguousarray(distsigma, np.float64))
    return moments[:, 0], np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0.0))


def marginal_moments(prob: npt.ArrayLike, distmu: npt.ArrayLike, distsigma: npt.ArrayLike) -> tuple[float, float] | None:
    """Mean and standard deviation of the distance over all lines of sight, in Mpc.

    Parameters
    ----------
    prob, distmu, distsigma : array_like, shape (n,)
        Probability of each cell and its parameters; cells without a distance are left out.

    Returns
    -------
    tuple of float, or ``None`` where no cell has a distance
    """
    moments = _moments(np.ascontiguousarray(distmu, np.float64), np.ascontiguousarray(distsigma, np.float64))
    weight = np.asarray(prob, np.float64)
    known = np.isfinite(moments).all(axis=1) & (weight > 0.0)
    if not known.any():
        return None
    mean, second = np.average(moments[known], axis=0, weights=weight[known])
    return float(mean), float(np.sqrt(max(second - mean**2, 0.0)))
