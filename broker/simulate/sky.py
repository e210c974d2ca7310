"""A sky to look at: sources of several kinds and the brightness each has at a time.

Brightness is the flux of the difference to the reference image in nJy (AB zero point 31.4 mag), negative where a variable is
fainter than its reference. Templates are simple but of the right size and pace: an exponential rise and fall for supernovae
(Bazin et al. 2009, A&A 499, 653), a Gaussian rise and a t^-5/3 fall for tidal disruptions, sums of sines for stars and active
nuclei, fast rise and exponential fall with early blue colours for kilonovae (after AT2017gfo) and afterglows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

__all__ = ["BANDS", "KINDS", "ZERO_POINT", "Sources", "galaxies_near", "join", "make_sources", "offset", "one", "true_flux"]

Floats = npt.NDArray[np.float64]

ZERO_POINT = 31.4
"""AB magnitude of 1 nJy."""

BANDS = "ugrizy"

KINDS = ("supernova", "variable", "agn", "tde", "fast", "moving", "artefact", "kilonova", "afterglow")
"""What a source can be; `Sources.kind` is an index into it."""

DEFAULT_MIX: Mapping[str, float] = {
    "supernova": 0.16,
    "variable": 0.42,
    "agn": 0.12,
    "tde": 0.02,
    "fast": 0.01,
    "moving": 0.15,
    "artefact": 0.12,
}

# Days to rise and to fall by e; colour relative to r in u..y at the peak, mag; how much quicker blue bands fall, mag/day/band.
_PACE = {
    "supernova": (3.5, 28.0, (1.2, 0.1, 0.0, 0.2, 0.4, 0.5), 0.012),
    "fast": (0.8, 4.0, (0.1, -0.2, 0.0, 0.2, 0.3, 0.4), 0.05),
    "kilonova": (0.1, 1.6, (0.6, 0.1, 0.0, -0.1, -0.1, -0.1), 0.35),
    "afterglow": (0.01, 0.35, (0.4, 0.2, 0.0, -0.15, -0.3, -0.4), 0.0),
}


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources as columns, all of one length.

    Parameters
    ----------
    kind
        Index into `KINDS`.
    ra, dec
        Degrees, ICRS.
    peak_mjd
        Time of the peak, or of zero phase, MJD UTC.
    peak_mag
        AB magnitude in r of the difference at the peak, or of the swing of a variable.
    pace
        Factor on the duration, or the period in days of a variable.
    rest_mag
        AB magnitude in r of what is there in the reference: the star, the nucleus or the host galaxy.
    host_sep
        Arcseconds to that object; infinite where there is none.
    seed
        A number of its own, for phases and names.
    """

    kind: npt.NDArray[np.int64]
    ra: Floats
    dec: Floats
    peak_mjd: Floats
    peak_mag: Floats
    pace: Floats
    rest_mag: Floats
    host_sep: Floats
    seed: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Sources:
        """Some of them."""
        return Sources(*(getattr(self, column.name)[rows] for column in fields(self)))


def join(parts: Sequence[Sources]) -> Sources:
    """Several as one."""
    return Sources(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Sources)))


def one(kind: str, ra: float, dec: float, *, peak_mjd: float, peak_mag: float, host_sep: float, seed: int) -> Sources:
    """A single source of our choice, on a host of 17 mag."""
    values = (KINDS.index(kind), ra, dec, peak_mjd, peak_mag, 1.0, 17.0, host_sep, seed)
    return Sources(*(np.array([value]) for value in values))


def offset(ra: npt.ArrayLike, dec: npt.ArrayLike, distance: npt.ArrayLike, bearing: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Place at an angular `distance` and `bearing` (from north over east) of another; all in degrees.

    Spherical law of cosines and sines, good at the poles too.
    """
    dec0, far, angle = np.radians(dec), np.radians(distance), np.radians(bearing)
    sine = np.sin(dec0) * np.cos(far) + np.cos(dec0) * np.sin(far) * np.cos(angle)
    new = np.arcsin(np.clip(sine, -1.0, 1.0))
    turn = np.arctan2(np.sin(angle) * np.sin(far) * np.cos(dec0), np.cos(far) - np.sin(dec0) * sine)
    return (np.asarray(ra, np.float64) + np.degrees(turn)) % 360.0, np.degrees(new)


def galaxies_near(galaxies: Floats, ra: float, dec: float, radius: float) -> Floats:
    """Rows of `galaxies` (ra and dec in degrees, then what else they have) within `radius` degrees of a place."""
    if not len(galaxies):
        return galaxies
    haversine = (
        np.sin(np.radians(galaxies[:, 1] - dec) / 2) ** 2
        + np.cos(np.radians(dec)) * np.cos(np.radians(galaxies[:, 1])) * np.sin(np.radians(galaxies[:, 0] - ra) / 2) ** 2
    )
    near: Floats = galaxies[haversine <= np.sin(np.radians(radius) / 2) ** 2]
    return near


def make_sources(
    rng: np.random.Generator,
    count: int,
    centre: tuple[float, float],
    radius: float,
    mjd: float,
    *,
    limit: float = 20.5,
    galaxies: Floats | None = None,
    mix: Mapping[str, float] = DEFAULT_MIX,
) -> Sources:
    """Sources in a field, bright enough to be seen on the night of `mjd`.

    Parameters
    ----------
    centre, radius
        Of the field, degrees.
    mjd
        MJD UTC of the night.
    limit
        Depth of the survey, mag; few sources are fainter at their peak.
    galaxies
        Shape (n, 2 or more), degrees: extragalactic sources are put near those in the field where there are any.
    mix
        Share of each kind.
    """
    kind = rng.choice([KINDS.index(name) for name in mix], size=count, p=np.array(list(mix.values())) / sum(mix.values()))
    ra, dec = offset(*centre, radius * np.sqrt(rng.random(count)), rng.random(count) * 360.0)
    extragalactic = np.isin(kind, [KINDS.index(name) for name in ("supernova", "agn", "tde", "fast")])
    nuclear = np.isin(kind, [KINDS.index("agn"), KINDS.index("tde")])
    near = galaxies_near(galaxies, *centre, radius) if galaxies is not None else np.empty((0, 2))
    host_sep = np.where(nuclear, rng.rayleigh(0.15, count), np.where(extragalactic, rng.exponential(4.0, count), np.inf))
    if len(near):
        rows = np.flatnonzero(extragalactic & (rng.random(count) < 0.5))
        host = near[rng.integers(0, len(near), len(rows))]
        ra[rows], dec[rows] = offset(host[:, 0], host[:, 1], host_sep[rows] / 3600.0, rng.random(len(rows)) * 360.0)
    star = kind == KINDS.index("variable")
    host_sep[star] = rng.rayleigh(0.1, int(star.sum()))
    # Number counts rise towards the limit, as 10^(0.4 mag).
    peak_mag = limit - 0.7 + np.log10(rng.random(count) + 1e-9) / 0.6
    peak_mag = np.maximum(peak_mag, 12.5)
    rest_mag = np.where(star, peak_mag - rng.uniform(0.2, 2.0, count), peak_mag - rng.normal(1.5, 1.2, count))
    pace = np.where(star, 10 ** rng.uniform(-0.5, 1.8, count), rng.uniform(0.8, 1.3, count))
    age = np.where(kind == KINDS.index("fast"), rng.uniform(-0.5, 3.0, count), rng.uniform(-6.0, 25.0, count))
    return Sources(
        kind, ra, dec, mjd - age, peak_mag, pace, np.clip(rest_mag, 12.0, 24.0), host_sep, rng.integers(0, 2**48, count)
    )


def true_flux(sources: Sources, mjd: Floats, band: npt.NDArray[np.int64]) -> Floats:
    """Difference flux without noise.

    Parameters
    ----------
    mjd, band
        Of each visit, shape (v,): MJD UTC, index into `BANDS`.

    Returns
    -------
    ndarray
        Shape (n, v), nJy. Zero for moving objects and artefacts: those come once, at whatever visit the survey says.
    """
    flux = np.zeros((len(sources), len(mjd)))
    for number, name in enumerate(KINDS):
        rows = np.flatnonzero(sources.kind == number)
        if not len(rows):
            continue
        part = sources.take(rows)
        peak = 10 ** (0.4 * (ZERO_POINT - part.peak_mag))[:, None]
        days = mjd[None, :] - part.peak_mjd[:, None]
        shape: Floats
        if name in _PACE:
            shape = _transient(name, days / part.pace[:, None], band)
        elif name == "tde":
            blue = 10 ** (-0.06 * (band - 2.0))[None, :]
            fall = (1 + np.maximum(days, 0) / 40.0) ** (-5 / 3)
            shape = np.asarray(blue * np.where(days < 0, np.exp(-0.5 * (days / 12.0) ** 2), fall), np.float64)
        elif name in ("variable", "agn"):
            shape = _sines(part, mjd, stochastic=name == "agn")
        else:
            continue
        flux[rows] = peak * shape
    return flux


def _transient(name: str, days: Floats, band: npt.NDArray[np.int64]) -> Floats:
    rise, fall, colours, fade = _PACE[name]
    after = np.clip(days, -50 * rise, None)
    curve = np.exp(-np.maximum(after, 0) / fall) * np.where(after < 0, np.exp(after / rise), 1.0)
    if name in ("kilonova", "afterglow"):
        curve = np.where(days < 0, 0.0, curve)
    mags = np.array(colours)[band][None, :] + fade * (2 - band)[None, :] * np.clip(days, 0, 60)
    return np.asarray(curve * 10 ** (-0.4 * mags))


def _sines(part: Sources, mjd: Floats, *, stochastic: bool) -> Floats:
    shape = np.zeros((len(part), len(mjd)))
    periods = 2.0 ** np.arange(1, 9) if stochastic else np.array([1.0, 0.5, 1 / 3])
    weights = np.sqrt(periods) / np.sqrt(periods).sum() * 1.5 if stochastic else np.array([0.8, 0.35, 0.15])
    for number, (period, weight) in enumerate(zip(periods, weights, strict=True)):
        phase = (part.seed >> (5 * number)) % 1000 / 1000.0
        length = part.pace * period
        shape += weight * np.sin(2 * np.pi * (mjd[None, :] / length[:, None] + phase[:, None]))
    return shape
