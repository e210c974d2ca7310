"""Sky maps to FITS, multi-order: ``UNIQ``, ``PROBDENSITY`` and, in 3D, ``DISTMU``, ``DISTSIGMA``, ``DISTNORM``.

The format is that of the LIGO/Virgo/KAGRA user guide, which all readers of gravitational-wave maps know.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from broker.science.moc import cells_of
from broker.science.sky import NPIX29
from broker.science.skymap import SkyMap, distance_moments

__all__ = ["write_skymap"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_NO_DISTANCE = (np.inf, 1.0, 0.0)  # how BAYESTAR writes DISTMU, DISTSIGMA, DISTNORM of a cell without a distance


def write_skymap(skymap: SkyMap) -> bytes:
    """FITS file of a map, sorted by UNIQ; sky that the map leaves out is there with probability 0.

    Returns
    -------
    bytes
        `broker.science.skymap_fits.read_skymap` makes the map again.
    """
    ranges, row = _whole_sky(skymap)
    cells, of = cells_of(ranges)
    by_cell = np.argsort(cells)
    cells, row = cells[by_cell], row[of[by_cell]]
    columns = [
        fits.Column("UNIQ", "K", array=cells),
        fits.Column("PROBDENSITY", "D", unit="sr-1", array=_picked(skymap.density, row, 0.0)),
    ]
    for name, unit, values, missing in zip(
        ("DISTMU", "DISTSIGMA", "DISTNORM"),
        ("Mpc", "Mpc", "Mpc-2"),
        (skymap.distmu, skymap.distsigma, skymap.distnorm),
        _NO_DISTANCE,
        strict=True,
    ):
        if values is not None:
            columns.append(fits.Column(name, "D", unit=unit, array=_picked(values, row, missing)))
    table = fits.BinTableHDU.from_columns(columns)
    table.header.extend(_cards(skymap, int(np.log2(cells[-1] // 4)) // 2))
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def _whole_sky(skymap: SkyMap) -> tuple[IntArray, IntArray]:
    """Ranges that tile the sky, and the row of the map each is of; -1 for what the map leaves out."""
    edges = np.concatenate([[0], skymap.stop]), np.concatenate([skymap.start, [NPIX29]])
    gaps = np.column_stack(edges)[edges[0] < edges[1]]
    ranges = np.concatenate([np.column_stack([skymap.start, skymap.stop]), gaps])
    row = np.concatenate([np.arange(skymap.start.size, dtype=np.int64), np.full(len(gaps), -1, np.int64)])
    by_place = np.argsort(ranges[:, 0])
    return ranges[by_place], row[by_place]


def _picked(values: FloatArray, row: IntArray, missing: float) -> FloatArray:
    return np.where(row >= 0, values[row], missing)


def _cards(skymap: SkyMap, order: int) -> list[tuple[str, Any, str]]:
    facts = skymap.facts
    cards: list[tuple[str, Any, str]] = [
        ("PIXTYPE", "HEALPIX", "HEALPix pixelisation"),
        ("ORDERING", "NUNIQ", "Pixel ordering scheme"),
        ("COORDSYS", "C", "Celestial (equatorial)"),
        ("MOCORDER", order, "Order of the smallest cells"),
        ("INDXSCHM", "EXPLICIT", "Indexing"),
    ]
    texts = (
        ("OBJECT", facts.name, "Event"),
        ("DATE-OBS", facts.time, "UTC date of the observation"),
        ("CREATOR", facts.creator, "Program that made the map"),
        ("INSTRUME", facts.instruments, "Instruments"),
    )
    cards += [(key, _ascii(text), comment) for key, text, comment in texts if text]
    if (moments := distance_moments(skymap)) is not None:
        cards += [("DISTMEAN", moments[0], "Mean distance (Mpc)"), ("DISTSTD", moments[1], "Its standard deviation (Mpc)")]
    return [*cards, ("HISTORY", "written by Nuncius", "")]


def _ascii(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)[:60]
