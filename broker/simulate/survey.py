"""What a survey sees of the sky: visits to a field, noise, detections. Common to ZTF and LSST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from broker.simulate.sky import DEFAULT_MIX, KINDS, ZERO_POINT, Floats, Sources, join, make_sources, offset, true_flux

__all__ = ["LSST", "ZTF", "Field", "Packet", "Survey", "datetime_of", "make_field", "mjd_of"]

_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_TURN = ("moving", "artefact")


class Packet(NamedTuple):
    """Bytes on their way to a broker.

    Parameters
    ----------
    time
        When they go out, UTC.
    stream
        ``ztf``, ``lsst``, ``gcn`` or ``lvk``.
    data
        As on the wire.
    name
        Identifies them within the stream; with `suffix` a file name.
    """

    time: datetime
    stream: str
    data: bytes
    name: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Survey:
    """How a survey looks at the sky.

    Parameters
    ----------
    bands
        It goes through, as indices into `broker.simulate.sky.BANDS`.
    depth
        Five-sigma limit of a single exposure in those bands, AB mag.
    scatter
        One-sigma error of a position at the limit, arcseconds.
    radius
        Of a field, degrees.
    exposure, cadence
        Seconds of an exposure, and from one visit to the next.
    dec
        Declinations it reaches, degrees.
    """

    bands: tuple[int, ...]
    depth: tuple[float, ...]
    scatter: float
    radius: float
    exposure: float
    cadence: float
    dec: tuple[float, float]


ZTF = Survey((1, 2), (20.8, 20.6), 0.25, 3.4, 30.0, 40.0, (-25.0, 80.0))
LSST = Survey((0, 1, 2, 3, 4, 5), (23.7, 24.8, 24.4, 23.9, 23.3, 22.3), 0.15, 1.7, 30.0, 39.0, (-75.0, 5.0))


def mjd_of(time: datetime) -> float:
    """MJD, UTC."""
    return (time - _EPOCH) / timedelta(days=1)


def datetime_of(mjd: float) -> datetime:
    """UTC, whole microseconds."""
    return _EPOCH + timedelta(days=mjd)


@dataclass(frozen=True, slots=True)
class Field:
    """All that is seen of a field: n sources in v visits, of which the first `history` are of earlier nights.

    Parameters
    ----------
    number
        Of the field.
    mjd, band, limit
        Of each visit, shape (v,): MJD UTC of the start of the exposure, index into ``BANDS``, five-sigma limit in AB mag.
    flux, error, ra, dec
        Measured at each visit, shape (n, v): nJy and degrees.
    seen
        Whether it was detected, shape (n, v).
    """

    survey: Survey
    number: int
    history: int
    sources: Sources
    mjd: Floats
    band: npt.NDArray[np.int64]
    limit: Floats
    flux: Floats
    error: Floats
    ra: Floats
    dec: Floats
    seen: npt.NDArray[np.bool_]

    def alerts(self, visit: int) -> npt.NDArray[np.int64]:
        """Rows of the sources that make an alert at a visit."""
        return np.flatnonzero(self.seen[:, visit])

    def magnitudes(self) -> tuple[Floats, Floats]:
        """AB magnitude of the difference and its error, shape (n, v); clipped at one sigma."""
        size = np.maximum(np.abs(self.flux), self.error)
        return ZERO_POINT - 2.5 * np.log10(size), 2.5 / np.log(10) * self.error / size


def make_field(
    survey: Survey,
    rng: np.random.Generator,
    number: int,
    centre: tuple[float, float],
    visits: Floats,
    *,
    alerts_per_visit: float,
    history: int,
    extra: Sequence[Sources] = (),
    galaxies: Floats | None = None,
    mix: Mapping[str, float] = DEFAULT_MIX,
) -> Field:
    """Look at a field.

    Parameters
    ----------
    centre
        Degrees.
    visits
        MJD UTC of tonight's visits, increasing.
    alerts_per_visit
        Wanted on average; sources are made until there are about so many.
    history
        Visits of the last 30 days.
    extra
        Sources of our choice, added to those made at random.
    """
    mjd = np.concatenate([_earlier(rng, float(visits[0]), history), visits])
    which = np.arange(len(mjd)) % len(survey.bands)
    band = np.array(survey.bands)[which]
    limit = np.array(survey.depth)[which] + np.minimum(rng.normal(0, 0.15, len(mjd)), 0.3)
    # A share of the sources is below the limit at any one visit; moving ones and artefacts come once.
    once = sum(mix.get(name, 0.0) for name in _TURN) / sum(mix.values())
    count = round(alerts_per_visit / (0.7 * (1 - once) + once / len(visits)))
    sources = make_sources(
        rng, count, centre, survey.radius, float(visits[0]), limit=float(np.median(limit)), galaxies=galaxies, mix=mix
    )
    sources = join([sources, *extra])
    flux = true_flux(sources, mjd, band)
    turn = np.isin(sources.kind, [KINDS.index(name) for name in _TURN])
    flux[turn] = 0.0
    rows = np.flatnonzero(turn)
    flux[rows, history + sources.seed[rows] % len(visits)] = 10 ** (0.4 * (ZERO_POINT - sources.peak_mag[rows]))
    sigma = 10 ** (0.4 * (ZERO_POINT - limit))[None, :] / 5.0
    error = np.hypot(sigma, 0.01 * flux)
    flux = flux + error * rng.normal(size=flux.shape)
    sharp = survey.scatter * np.clip(5 * error / np.maximum(np.abs(flux), error), 0.2, 1.5) / 3600.0
    ra, dec = offset(
        sources.ra[:, None], sources.dec[:, None], sharp * rng.rayleigh(1.0, flux.shape), rng.random(flux.shape) * 360.0
    )
    seen = np.abs(flux) > 5 * error
    seen[rows] &= np.arange(len(mjd))[None, :] == (history + sources.seed[rows] % len(visits))[:, None]
    return Field(survey, number, history, sources, mjd, band, limit, flux, error, ra, dec, seen)


def _earlier(rng: np.random.Generator, first: float, count: int) -> Floats:
    """Visits of the last 30 days: some two or three a night, half an hour apart, on nights at random."""
    if not count:
        return np.empty(0)
    nights = np.sort(rng.choice(np.arange(1, 30), size=min(29, max(1, count // 2)), replace=False))
    night = np.sort(nights[np.arange(count) % len(nights)])[::-1]
    place = np.zeros(count)
    for row in range(1, count):
        place[row] = place[row - 1] + 1 if night[row] == night[row - 1] else 0
    return first - night + rng.uniform(-0.02, 0.02) + place * 0.021
