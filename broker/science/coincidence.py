"""How often chance alone makes two events coincide in time and on the sky, after RAVEN.

All rates are in Hz, all windows in seconds.

References
----------
Urban (2016), PhD thesis, University of Wisconsin-Milwaukee: RAVEN.
Ashton et al. (2018), ApJ 860, 6, doi 10.3847/1538-4357/aabfd2: space-time.
Piotrzkowski (2022), PhD thesis, University of Wisconsin-Milwaukee, and ligo-raven 3.3, ``ligo.raven.search.coinc_far``: the
formulas as used by the LVK.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["YEAR", "per_year", "publishable", "space_time", "targeted", "untargeted"]

YEAR: Final = 365.0 * 86_400.0
"""Seconds of the year that RAVEN's rates are given in."""


def per_year(number: float) -> float:
    """Rate in Hz of so many a year."""
    return number / YEAR


def untargeted(window: float, rate: float, far: float) -> float:
    """Temporal false-alarm rate where both events were found on their own: window x rate of the one x far of the other, in Hz.

    Parameters
    ----------
    window
        Length, ``t_h - t_l``.
    rate
        At which the external messenger's events come, Hz.
    far
        Of the event that the search starts from, Hz.
    """
    return window * rate * far


def targeted(window: float, far_gw: float, far_external: float, most_gw: float, most_external: float) -> float:
    """Temporal false-alarm rate where weak external events were looked for at the times of weak GW events.

    With ``z = window x far_gw x far_external`` and ``zmax`` the same of the largest rates the search takes, the product of two
    uniform deviates makes it ``z (1 - ln(z / zmax))``. Beyond the search's largest rates it is ``zmax``.

    Parameters
    ----------
    most_gw, most_external
        Largest false-alarm rates that the search takes, Hz.
    """
    z, most = window * far_gw * far_external, window * most_gw * most_external
    if z <= 0.0:
        return 0.0
    return most if z >= most else z * (1.0 - math.log(z / most))


def space_time(far_temporal: float, overlap: float) -> float | None:
    """Space-time false-alarm rate, Hz: the temporal one over the overlap integral; ``None`` where the maps do not overlap."""
    if overlap <= 0.0:
        return None
    rate = far_temporal / overlap
    return rate if math.isfinite(rate) else None


def publishable(far: float | None, trials: float, threshold: float) -> bool:
    """RAVEN's test of a joint false-alarm rate: ``far x trials x (trials - 1) <= threshold``.

    Parameters
    ----------
    far
        Joint false-alarm rate, Hz.
    trials
        Number of searches that may publish.
    threshold
        Of a significant alert, Hz.
    """
    return far is not None and far >= 0.0 and far * trials * (trials - 1.0) <= threshold
