"""Multi-order sky maps with distances, as gravitational-wave searches send them.

The mesh is refined as BAYESTAR does (Singer & Price 2016, PRD 93, 024013): some rounds in which the likeliest cells, a quarter
as many as there were at the start, are split in four. Distances follow the ansatz
p(r) = DISTNORM r^2 N(r; DISTMU, DISTSIGMA) of Singer et al. 2016, ApJL 829, L15.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime

import healpy
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from broker.simulate.sky import Floats
from broker.simulate.survey import mjd_of

__all__ = ["Shape", "SkyMap", "build", "credible_level", "to_fits"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """A piece of a ring on the sky, as two or three detectors see a source.

    Parameters
    ----------
    ra, dec
        Middle of the arc, degrees, ICRS.
    radius
        Of the ring, degrees; 90 is a great circle.
    bearing
        Direction from the middle of the arc to the pole of the ring, degrees from north over east.
    width, length
        One sigma across and along the arc, degrees; alike they make a round spot.
    distance, spread
        Mean distance and its one sigma, Mpc; the spread is below a quarter of the distance.
    """

    ra: float
    dec: float
    radius: float
    bearing: float
    width: float
    length: float
    distance: float
    spread: float


@dataclass(frozen=True, slots=True)
class SkyMap:
    """Cells of a multi-order map as columns.

    Parameters
    ----------
    uniq
        NUNIQ index of each cell, increasing.
    density
        Probability per steradian.
    mu, sigma, norm
        Distance ansatz: Mpc, Mpc, Mpc^-2.
    """

    uniq: Integers
    density: Floats
    mu: Floats
    sigma: Floats
    norm: Floats

    @property
    def order(self) -> Integers:
        """HEALPix order of each cell."""
        return np.asarray(np.log2(self.uniq / 4) / 2, np.int64)

    @property
    def probability(self) -> Floats:
        """Of each cell; they sum to 1."""
        return np.asarray(self.density * np.pi / (3.0 * 4.0**self.order))


def build(shape: Shape, *, start_order: int = 3, rounds: int = 7) -> SkyMap:
    """Map of an arc.

    Parameters
    ----------
    start_order
        HEALPix order of the coarsest cells: 3 makes 4,800 cells (200 kB), 4 makes 19,200 (780 kB) with 7 rounds.
    rounds
        How often the likeliest cells are split.
    """
    order = np.full(12 * 4**start_order, start_order)
    pixel = np.arange(12 * 4**start_order)
    density = _density(shape, order, pixel)
    for _ in range(rounds):
        best = np.argsort(density * 4.0**-order, kind="stable")[-(3 * 4**start_order) :]
        keep = np.ones(len(order), np.bool_)
        keep[best] = False
        fine = (4 * pixel[best][:, None] + np.arange(4)).ravel()
        level = np.repeat(order[best] + 1, 4)
        density = np.concatenate([density[keep], _density(shape, level, fine)])
        order, pixel = np.concatenate([order[keep], level]), np.concatenate([pixel[keep], fine])
    uniq = pixel + 4 ** (order + 1)
    rows = np.argsort(uniq)
    density = density[rows] / np.sum(density * np.pi / (3.0 * 4.0**order))
    # The distance changes slowly over the sky, as the antenna pattern does.
    wave = 0.05 * np.sin(np.linspace(0, 2 * np.pi, len(rows)))
    mu, sigma = shape.distance * (1 + wave), shape.spread * (1 + wave)
    return SkyMap(uniq[rows], density, mu, sigma, 1.0 / (mu**2 + sigma**2))


def _density(shape: Shape, order: Integers, pixel: Integers) -> Floats:
    """Mean over the 16 grandchildren of each cell, so that a narrow arc does not fall between centres; not normalised."""
    density = np.empty(len(order))
    toward, side, pole = _frame(shape)
    for level in np.unique(order):
        rows = np.flatnonzero(order == level)
        children = (16 * pixel[rows][:, None] + np.arange(16)).ravel()
        place = np.stack(healpy.pix2vec(2 ** (int(level) + 2), children, nest=True), axis=1)
        across = np.degrees(np.arccos(np.clip(place @ pole, -1, 1))) - shape.radius
        along = np.degrees(np.arctan2(place @ side, place @ toward)) * np.sin(np.radians(shape.radius))
        value = np.exp(-0.5 * ((across / shape.width) ** 2 + (along / shape.length) ** 2))
        density[rows] = value.reshape(-1, 16).mean(axis=1)
    return density


def _frame(shape: Shape) -> tuple[Floats, Floats, Floats]:
    """Unit vectors: from the pole's axis towards the middle of the arc, along the arc there, and the pole."""
    ra, dec, turn, far = np.radians([shape.ra, shape.dec, shape.bearing, shape.radius])
    middle = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    pole = middle * np.cos(far) + (north * np.cos(turn) + east * np.sin(turn)) * np.sin(far)
    toward = middle - pole * (middle @ pole)
    toward /= np.linalg.norm(toward)
    return toward, np.cross(pole, toward), pole


def credible_level(sky: SkyMap, ra: float, dec: float) -> float:
    """Probability of the smallest region, made of whole cells, that holds a place (degrees, ICRS)."""
    order = sky.order
    pixel = sky.uniq - 4 ** (order + 1)
    here = np.zeros(len(order), np.bool_)
    for level in np.unique(order):
        here |= (order == level) & (pixel == healpy.ang2pix(2 ** int(level), ra, dec, nest=True, lonlat=True))
    return float(sky.probability[sky.density >= sky.density[here][0]].sum())


def to_fits(sky: SkyMap, *, name: str, time: datetime, made: datetime, instruments: tuple[str, ...], creator: str) -> bytes:
    """FITS file of a map, with the header cards BAYESTAR writes."""
    weight, first = sky.probability, sky.mu**3 + 3 * sky.mu * sky.sigma**2
    second = sky.mu**4 + 6 * sky.mu**2 * sky.sigma**2 + 3 * sky.sigma**4
    mean = float(np.sum(weight * sky.norm * first))
    spread = float(np.sqrt(np.sum(weight * sky.norm * second) - mean**2))
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("UNIQ", "K", array=sky.uniq),
            fits.Column("PROBDENSITY", "D", unit="sr-1", array=sky.density),
            fits.Column("DISTMU", "D", unit="Mpc", array=sky.mu),
            fits.Column("DISTSIGMA", "D", unit="Mpc", array=sky.sigma),
            fits.Column("DISTNORM", "D", unit="Mpc-2", array=sky.norm),
        ]
    )
    table.header.extend(
        [
            ("PIXTYPE", "HEALPIX", "HEALPix pixelisation"),
            ("ORDERING", "NUNIQ", "Pixel ordering scheme"),
            ("COORDSYS", "C", "Celestial (equatorial)"),
            ("MOCORDER", int(sky.order.max()), "Best order"),
            ("INDXSCHM", "EXPLICIT", "Indexing"),
            ("OBJECT", name, "Unique identifier of this event"),
            ("INSTRUME", ",".join(instruments), "Instruments that triggered this event"),
            ("DATE-OBS", f"{time:%Y-%m-%dT%H:%M:%S.%f}", "UTC date of the observation"),
            ("MJD-OBS", mjd_of(time), "Modified Julian date of the observation"),
            ("DATE", f"{made:%Y-%m-%dT%H:%M:%S.%f}", "UTC date of file creation"),
            ("CREATOR", creator, "Program that created this file"),
            ("ORIGIN", "Nuncius simulator", "Simulated: no such event happened"),
            ("DISTMEAN", mean, "Posterior mean distance (Mpc)"),
            ("DISTSTD", spread, "Posterior standard deviation of distance (Mpc)"),
        ]
    )
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()
