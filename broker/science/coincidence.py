r"""How often chance alone puts two events of different messengers so close in time, and on the sky.

All times are in seconds, all rates in Hz. Windows are half-open nowhere: both ends count.

References
----------
RAVEN (ligo-raven), ``raven.search.coinc_far``; Urban (2016), PhD thesis, University of Wisconsin-Milwaukee, for the untargeted
search; Ashton et al. (2018), ApJ 860, 6, for the overlap of sky maps. Piotrzkowski (2022), PhD thesis, for the targeted one.
"""

from __future__ import annotations

import math

__all__ = ["YEAR", "publishable", "space_time", "targeted", "untargeted"]

YEAR = 365.25 * 86_400.0
"""Seconds."""


def untargeted(window: tuple[float, float], rate: float, far: float) -> float:
    r"""Rate at which an unrelated event falls into the window around another.

    .. math:: F_t = (t_h - t_l) R F

    Parameters
    ----------
    window
        Lowest and highest offset that counts.
    rate
        Of the events searched through: they are real, only unrelated.
    far
        False alarm rate, or rate, of the others.
    """
    return (window[1] - window[0]) * rate * far


def targeted(window: tuple[float, float], far: float, other: float, thresholds: tuple[float, float]) -> float:
    r"""The same where both searches are sub-threshold: the joint rate of pairs that are at least so unlikely.

    .. math:: z = (t_h - t_l) F_1 F_2, \quad F_t = z \left(1 - \ln \frac{z}{z_{max}}\right)

    Parameters
    ----------
    far, other
        False alarm rates of both.
    thresholds
        The largest that either search reports; one beyond its threshold counts as at it.
    """
    length = window[1] - window[0]
    largest = length * thresholds[0] * thresholds[1]
    joint = min(length * far * other, largest)
    return joint * (1.0 - math.log(joint / largest)) if joint > 0.0 else 0.0


def space_time(temporal: float, overlap: float) -> float | None:
    """Rate at which chance does it in time and on the sky; ``None`` where the maps have nothing in common."""
    return temporal / overlap if overlap > 0.0 else None


def publishable(joint: float, trials: int, threshold: float) -> bool:
    """Whether a pair is significant once it is counted how many searches could have found it: RAVEN's test.

    Parameters
    ----------
    joint
        In time and on the sky.
    trials
        Searches of the gravitational-wave side.
    threshold
        Rate of significant alerts.
    """
    return joint * trials * (trials - 1) <= threshold
