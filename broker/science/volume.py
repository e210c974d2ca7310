"""Credible levels in volume: how deep a place with a distance lies in a three-dimensional sky map.

The probability of a volume element is ``dP/dV = PROBDENSITY DISTNORM N(r; DISTMU, DISTSIGMA)`` (Singer et al. 2016, ApJL 829,
L15). The credible level of a point is the probability of all that is at least as dense, hence a function of the density alone:
it is tabulated once a map, as a histogram of probability in the logarithm of the density, and a point then costs one look-up.
All is done in logarithms, since DISTNORM reaches 1e52 where DISTMU is far below zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from broker.compiled import compiled
from broker.errors import SkyMapError
from broker.science.distance import tail
from broker.science.skymap import SkyMap

__all__ = ["VolumeLevels", "tabulate", "volume_levels_at"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_BINS: Final = 200_000
_DEPTH: Final = 80.0  # natural logarithms below the peak that are resolved; what is thinner has level 1
_FALL: Final = 32.0  # natural logarithms along one line of sight: 8 sigma
_SHELLS: Final = 3_000_000  # of a map, shared by its cells
_NEGLIGIBLE: Final = 1e-7  # of the probability may be left out
_HALF_LOG_2PI: Final = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True, eq=False)
class VolumeLevels:
    """Volume credible levels of a map as a table.

    Parameters
    ----------
    log_best : ndarray, shape (cells,)
        Logarithm of the largest density along the line of sight, at ``r = max(DISTMU, 0)``, per steradian and Mpc^3; -inf for a
        cell without a distance.
    top : float
        Logarithm of the largest density, where the table begins.
    level : ndarray, shape (bins + 1,)
        Credible level at falling logarithms of the density, in steps of `step`.
    step : float
    """

    log_best: FloatArray
    top: float
    level: FloatArray
    step: float


_kept: WeakKeyDictionary[SkyMap, VolumeLevels] = WeakKeyDictionary()


def tabulate(skymap: SkyMap) -> VolumeLevels:
    """Table of a map's credible levels in volume; made once, and kept as long as the map is.

    Raises
    ------
    SkyMapError
        The map has no distances.
    """
    if (kept := _kept.get(skymap)) is not None:
        return kept
    mu, sigma, norm = skymap.distmu, skymap.distsigma, skymap.distnorm
    if mu is None or sigma is None or norm is None:
        raise SkyMapError("a map without distances has no credible levels in volume: it is two-dimensional")
    log_best = _best(skymap.density, mu, sigma, norm)
    known = np.isfinite(log_best)
    if not known.any():
        raise SkyMapError("no cell of the map has a usable distance: DISTMU, DISTSIGMA and DISTNORM are not finite throughout")
    top = float(log_best[known].max())
    steps = int(np.clip(_SHELLS // (2 * known.sum()), 16, 1024))
    slope = _histogram(log_best, skymap.prob, skymap.density, mu, sigma, top, steps)
    level = np.concatenate([[0.0], np.maximum.accumulate(np.cumsum(np.cumsum(slope))[:-1])])
    table = VolumeLevels(log_best, top, np.minimum(level / max(level[-1], 1.0), 1.0), _DEPTH / _BINS)
    _kept[skymap] = table
    return table


@compiled
def _log_norm(mu: float, sigma: float) -> float:
    """Logarithm of ``1 / ∫ r² N(r; mu, sigma) dr`` over r > 0, less ``mu² / 2 sigma²`` where mu is negative."""
    a = mu / sigma
    if a < -20.0:
        return _HALF_LOG_2PI - math.log(tail(2, -a)) - 2.0 * math.log(sigma)
    zeroth = 0.5 * math.erfc(-a / math.sqrt(2.0))
    first = a * zeroth + math.exp(-0.5 * a * a - _HALF_LOG_2PI)
    return -math.log(a * first + zeroth) - 2.0 * math.log(sigma) - 0.5 * min(a, 0.0) ** 2


@compiled
def _best(density: FloatArray, mu: FloatArray, sigma: FloatArray, norm: FloatArray) -> FloatArray:
    """Logarithm of the largest density along each line of sight."""
    best = np.full(density.size, -np.inf)
    for i in range(density.size):
        if not (density[i] > 0.0 and np.isfinite(mu[i]) and np.isfinite(sigma[i]) and sigma[i] > 0.0):
            continue
        if norm[i] == 0.0:  # says that there is nothing along this line of sight
            continue
        if np.isfinite(norm[i]) and norm[i] > 0.0:
            scale = math.log(norm[i]) - 0.5 * min(mu[i] / sigma[i], 0.0) ** 2
        else:
            scale = _log_norm(mu[i], sigma[i])  # it did not fit into the file's numbers
        value = math.log(density[i]) + scale - math.log(sigma[i]) - _HALF_LOG_2PI
        if np.isfinite(value):
            best[i] = value
    return best


@compiled
def _histogram(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    log_best: FloatArray,
    prob: FloatArray,
    density: FloatArray,
    mu: FloatArray,
    sigma: FloatArray,
    top: float,
    steps: int,
) -> FloatArray:
    """Probability in bins of falling logarithm of density, as differences from bin to bin.

    Each line of sight is cut into shells to both sides of DISTMU. A shell's probability, by Simpson's rule, is spread evenly
    over the bins between the densities of its two faces; only where this begins and ends is written, the caller sums it up.
    """
    slope = np.zeros(_BINS + 1)
    per_bin = _BINS / _DEPTH
    for i in range(log_best.size):
        best = log_best[i]
        if best < top - _DEPTH or prob[i] < _NEGLIGIBLE / log_best.size:
            continue
        m, s = mu[i], sigma[i]
        # where the density along the line of sight is exp(-_FALL) of its largest: beyond, and in front
        far = 2.0 * _FALL * s * s / (math.sqrt(m * m + 2.0 * _FALL * s * s) - m) if m < 0.0 else m + s * math.sqrt(2.0 * _FALL)
        near = max(0.0, m - s * math.sqrt(2.0 * _FALL))
        middle = max(m, 0.0)
        solid = prob[i] / density[i]
        for side in range(2):
            end = far if side else near
            width = (end - middle) / steps
            if width == 0.0:
                continue
            face = best
            at_face = middle * middle * math.exp(face - top)
            for k in range(steps):
                r = middle + (k + 1) * width
                half = r - 0.5 * width
                # as in `_look_up`
                inner = best - 0.5 * (half - middle) * (half + middle - 2.0 * m) / (s * s)
                next_face = best - 0.5 * (r - middle) * (r + middle - 2.0 * m) / (s * s)
                at_next = r * r * math.exp(next_face - top)
                mass = (at_face + 4.0 * half * half * math.exp(inner - top) + at_next) / 6.0 * abs(width)
                if not (top - next_face < np.inf and top - face < _DEPTH):
                    break
                first = min(int((top - face) * per_bin), _BINS - 1)
                last = max(int(min((top - next_face) * per_bin, 2.0 * _BINS)) + 1, first + 1)
                value = mass / (last - first)
                slope[first] += value * solid
                slope[min(last, _BINS)] -= value * solid
                face, at_face = next_face, at_next
    slope *= math.exp(top)
    return slope


@compiled
def _look_up(  # noqa: PLR0917 - a compiled loop is handed its arrays one by one
    hpx: IntArray,
    distance: FloatArray,
    start: IntArray,
    stop: IntArray,
    mu: FloatArray,
    sigma: FloatArray,
    log_best: FloatArray,
    top: float,
    level: FloatArray,
    step: float,
) -> FloatArray:
    out = np.ones(hpx.size)
    for i in range(hpx.size):
        if hpx[i] < 0 or not distance[i] >= 0.0:
            out[i] = np.nan
            continue
        row = np.searchsorted(start, hpx[i], side="right") - 1
        if row < 0 or hpx[i] >= stop[row] or log_best[row] == -np.inf:
            continue
        middle = max(mu[row], 0.0)
        # (r - mu)² - (middle - mu)², without the loss of digits where mu is far below zero
        fall = 0.5 * (distance[i] - middle) * (distance[i] + middle - 2.0 * mu[row]) / (sigma[row] * sigma[row])
        place = (top - log_best[row] + fall) / step
        if 0.0 <= place < level.size - 1:
            k = int(place)
            out[i] = level[k] + (place - k) * (level[k + 1] - level[k])
    return out


def volume_levels_at(skymap: SkyMap, hpx: npt.ArrayLike, distance_mpc: npt.ArrayLike) -> FloatArray:
    """Credible level in volume of points.

    Parameters
    ----------
    hpx : array_like of int64, shape (n,)
        Order-29 NESTED indices; negative for no position.
    distance_mpc : array_like, shape (n,)
        Luminosity distances in Mpc.

    Returns
    -------
    ndarray, shape (n,)
        0 to 1: the probability of the smallest volume that holds the point; 1 outside the map and along lines of sight without
        a distance; NaN where there is no position or no distance.

    Raises
    ------
    SkyMapError
        The map has no distances.
    """
    table = tabulate(skymap)
    assert skymap.distmu is not None
    assert skymap.distsigma is not None
    index, distance = np.broadcast_arrays(np.asarray(hpx, np.int64), np.asarray(distance_mpc, np.float64))
    found: FloatArray = _look_up(
        np.ascontiguousarray(index).ravel(),
        np.ascontiguousarray(distance).ravel(),
        skymap.start,
        skymap.stop,
        skymap.distmu,
        skymap.distsigma,
        table.log_best,
        table.top,
        table.level,
        table.step,
    )
    return found.reshape(index.shape)
