"""Galaxies as hosts of an event: how probable each is by the event's sky map, and how much of the light a catalogue has.

A map gives the probability per solid angle at a position, and where it has distances the probability per volume at a position
and a distance, ``dP/dV = PROBDENSITY DISTNORM N(r; DISTMU, DISTSIGMA)`` (Singer et al. 2016, ApJL 829, L15, eq. 2). A galaxy is
ranked by it, times its luminosity where that is wanted: mergers follow stars (Gehrels et al. 2016, ApJ 820, 136; Arcavi et al.
2017, ApJL 848, L33; Ducoin et al. 2020, MNRAS 492, 4768, who weigh by stellar mass).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from broker.science.distance import conditional_moments
from broker.science.skymap import SkyMap

__all__ = [
    "BANDS",
    "Band",
    "Densities",
    "Ranking",
    "completeness",
    "densities",
    "has_distances",
    "luminosity",
    "luminosity_ratio",
    "rank",
    "shells",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_H: Final = 0.7  # Hubble constant over 100 km/s/Mpc that the luminosity functions below are scaled with


@dataclass(frozen=True, slots=True)
class Band:
    """A band in which galaxies are weighed, and the Schechter function of their luminosities in it.

    Parameters
    ----------
    sun
        Absolute magnitude of the Sun, Vega.
    phi
        Number density, Mpc^-3.
    bright
        Luminosity L* where the exponential fall sets in, solar.
    alpha
        Slope of the faint end.
    """

    sun: float
    phi: float
    bright: float
    alpha: float

    @property
    def luminosity_density(self) -> float:
        """Luminosity of all galaxies, ``phi L* Gamma(alpha + 2)``, in solar luminosities per Mpc³ (Schechter 1976)."""
        return self.phi * self.bright * math.gamma(self.alpha + 2.0)


BANDS: Final = {
    # Gehrels et al. 2016, ApJ 820, 136, sect. 2, after Longair 2008.
    "b_mag": Band(sun=5.48, phi=1.6e-2 * _H**3, bright=1.2e10 / _H**2, alpha=-1.07),
    # Kochanek et al. 2001, ApJ 560, 566, table 3, all galaxies: M* = -23.39 + 5 log10 h.
    "k_mag": Band(sun=3.28, phi=1.16e-2 * _H**3, bright=10.0 ** (0.4 * (3.28 + 23.39 - 5 * math.log10(_H))), alpha=-1.09),
}
"""By the name that a catalogue's column of apparent magnitudes has, the better known first."""


def luminosity(magnitude: npt.ArrayLike, distance: npt.ArrayLike, band: Band) -> FloatArray:
    """Luminosities of galaxies, without corrections for dust and redshift.

    Parameters
    ----------
    magnitude : array_like, shape (n,)
        Apparent magnitude, Vega.
    distance : array_like, shape (n,)
        Luminosity distance, Mpc.

    Returns
    -------
    ndarray, shape (n,)
        Solar luminosities; NaN where magnitude or distance is unknown.
    """
    far = np.asarray(distance, np.float64)
    known = np.where(far > 0.0, far, np.nan)
    absolute = np.asarray(magnitude, np.float64) - 5.0 * np.log10(known) - 25.0
    return np.asarray(10.0 ** (0.4 * (band.sun - absolute)), np.float64)


def has_distances(skymap: SkyMap) -> bool:
    """Whether any line of sight of a map says how far."""
    if skymap.distmu is None or skymap.distsigma is None or skymap.distnorm is None:
        return False
    told = np.isfinite(skymap.distmu) & np.isfinite(skymap.distsigma) & np.isfinite(skymap.distnorm)
    return bool((told & (skymap.distsigma > 0.0) & (skymap.prob > 0.0)).any())


@dataclass(frozen=True, slots=True, eq=False)
class Densities:
    """What a map says of points. All arrays have one element a point.

    Parameters
    ----------
    level, density
        Credible level on the sky, and probability per steradian.
    volume
        Probability per Mpc³; NaN where the point, or the map there, has no distance.
    """

    level: FloatArray
    density: FloatArray
    volume: FloatArray


def densities(
    skymap: SkyMap, hpx: npt.ArrayLike, distance: npt.ArrayLike, distance_error: npt.ArrayLike | None = None
) -> Densities:
    """Probability densities of a map at points.

    The distance's error, taken for Gaussian, adds in quadrature to the map's own: ``∫ N(r; mu, s) N(r; d, e) dr = N(d; mu,
    sqrt(s² + e²))``.

    Parameters
    ----------
    hpx : array_like of int64, shape (n,)
        Order-29 NESTED indices.
    distance : array_like, shape (n,)
        Mpc; NaN where unknown.
    distance_error : array_like, shape (n,) or scalar, optional
        Standard deviation, Mpc; NaN counts as none.
    """
    index = np.asarray(hpx, np.int64)
    row = np.maximum(np.searchsorted(skymap.start, index, side="right") - 1, 0)
    held = (index >= skymap.start[row]) & (index < skymap.stop[row])
    level = np.where(held, skymap.level[row], 1.0)
    density = np.where(held, skymap.density[row], 0.0)
    far = np.asarray(distance, np.float64)
    if skymap.distmu is None or skymap.distsigma is None or skymap.distnorm is None:
        return Densities(level, density, np.full(index.shape, np.nan))
    error = 0.0 if distance_error is None else np.nan_to_num(np.asarray(distance_error, np.float64), nan=0.0)
    mu, sigma, norm = skymap.distmu[row], skymap.distsigma[row], skymap.distnorm[row]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = np.hypot(sigma, error)
        # In logs: DISTNORM reaches 1e52 where DISTMU is far below zero, and the Gaussian is as small.
        log = np.log(density) + np.log(norm) - 0.5 * ((far - mu) / spread) ** 2 - np.log(spread * math.sqrt(2.0 * math.pi))
        volume = np.exp(log)
    known = np.isfinite(far) & (far > 0.0) & np.isfinite(mu) & np.isfinite(spread) & (spread > 0.0) & np.isfinite(norm)
    return Densities(
        level, density, np.where(density == 0.0, np.where(far > 0.0, 0.0, np.nan), np.where(known, volume, np.nan))
    )


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Galaxies, the likeliest first.

    Parameters
    ----------
    order : ndarray of int64
        Their indices in what was ranked; galaxies of no probability are left out.
    probability : ndarray
        Share of each, in that order, in the sum over all that are ranked in the map's own dimensions; NaN for the others.
    in_volume : ndarray of bool
        In that order, whether it is ranked by the volume; those that are not come after.
    counted
        How many galaxies have a probability.
    flat
        How many of these are ranked by the sky alone.
    """

    order: IntArray
    probability: FloatArray
    in_volume: npt.NDArray[np.bool_]
    counted: int
    flat: int


def rank(found: Densities, light: FloatArray | None, *, is_3d: bool, limit: int) -> Ranking:
    """The galaxies likeliest to be the host, given that the host is among them.

    Parameters
    ----------
    light : ndarray, shape (n,), optional
        Luminosities to weigh by; one that is unknown counts as the median of the others.
    is_3d : bool
        Whether the map has distances. If so, galaxies without one are put behind the others, by probability per solid angle.
    limit : int
        At most so many.
    """
    in_volume = np.isfinite(found.volume) if is_3d else np.zeros(found.density.shape, np.bool_)
    own = in_volume if is_3d else ~in_volume
    score = np.where(in_volume, found.volume, found.density)
    if light is not None:
        known = np.isfinite(light)
        usual = float(np.median(light[known])) if known.any() else 1.0
        score = np.where(own, score * np.where(known, light, usual), score)
    first, then = np.flatnonzero(own & (score > 0.0)), np.flatnonzero(~own & (score > 0.0))
    total = float(score[first].sum())
    order = _largest(score, first, limit)
    order = np.concatenate([order, _largest(score, then, limit - order.size)])
    probability = np.where(own[order], score[order] / total, np.nan) if total > 0.0 else np.full(order.size, np.nan)
    flat = then.size if is_3d else first.size
    return Ranking(order, probability, in_volume[order], first.size + then.size, flat)


def _largest(score: FloatArray, among: IntArray, limit: int) -> IntArray:
    """Indices of the largest scores, falling; not all of millions are sorted for the first fifty."""
    if 0 < limit < among.size:
        among = among[np.argpartition(-score[among], limit - 1)[:limit]]
    return among[np.argsort(-score[among], kind="stable")][: max(limit, 0)]


def luminosity_ratio(found: Densities, light: FloatArray, inside: float, band: Band) -> float:
    """Luminosity a catalogue has in a map's volume over the luminosity that is to be expected there.

    Each piece of volume counts as much as it has probability: ``Σ L_i (dP/dV)_i / (j ∫ dP)``, j that of the Schechter
    function. Below 1 the catalogue lacks galaxies, or the place has fewer than others; above, it has more. Volumes that hold
    few bright galaxies scatter by as much as galaxies cluster.

    Parameters
    ----------
    found, light
        Of all the galaxies of the catalogue in a part of the sky; light in solar luminosities.
    inside : float
        Probability of the map in that part.

    References
    ----------
    Schechter (1976), ApJ 203, 297; for its use with catalogues of galaxies Gehrels et al. (2016), ApJ 820, 136, and Dálya et
    al. (2018), MNRAS 479, 2374.
    """
    weighed = np.nansum(found.volume * light)
    return float(weighed / (band.luminosity_density * inside))


EDGES: Final = np.concatenate([[0.0], np.geomspace(10.0, 10_000.0, 50)])
"""Bounds of the shells of distance in which completeness is counted, Mpc: 15 per cent wide, to hold many clusters each."""
_NODES, _WEIGHTS = np.polynomial.hermite.hermgauss(7)


def shells(distance: FloatArray, light: FloatArray, band: Band, share: float = 1.0) -> FloatArray:
    """Completeness of a catalogue of the whole sky by distance: the luminosity in each shell over the one to be expected.

    Parameters
    ----------
    distance, light : ndarray, shape (n,)
        Mpc and solar luminosities; NaN where unknown.
    share : float
        Part of the catalogue that this is.

    Returns
    -------
    ndarray, shape (len(EDGES) - 1,)
        At most 1: a shell that has more than is to be expected, as the nearest have, is complete.

    References
    ----------
    Dálya et al. (2018), MNRAS 479, 2374, sect. 3.
    """
    known = np.isfinite(distance) & np.isfinite(light)
    found, _ = np.histogram(distance[known], EDGES, weights=light[known])
    expected = band.luminosity_density * 4.0 / 3.0 * np.pi * np.diff(EDGES**3)
    return np.minimum(found / (expected * share), 1.0)


def completeness(skymap: SkyMap, by_distance: FloatArray) -> float | None:
    """Mean of a completeness by distance over a map's volume, each piece counted by its probability.

    Parameters
    ----------
    by_distance : ndarray
        From `shells`.

    Returns
    -------
    float or None
        ``None`` for a map without distances.
    """
    if skymap.distmu is None or skymap.distsigma is None:
        return None
    mean, spread = conditional_moments(skymap.distmu, skymap.distsigma)
    known = np.isfinite(mean) & np.isfinite(spread) & (skymap.prob > 0.0)
    if not known.any():
        return None
    # Seven nodes of Gauss and Hermite a line of sight: completeness changes slowly over the width of a map.
    at = np.maximum(mean[known, None] + math.sqrt(2.0) * spread[known, None] * _NODES, 0.0)
    shell = np.clip(np.searchsorted(EDGES, at, side="right") - 1, 0, by_distance.size)
    value = np.append(by_distance, 0.0)[shell] @ (_WEIGHTS / math.sqrt(math.pi))
    return float(np.average(value, weights=skymap.prob[known]))
