"""Overlap of two sky maps and the map of both, beside the nearest pixel centre that RAVEN takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import healpy
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from rich.console import Console
from rich.table import Table

from benchmarks.services import Services
from broker.science.overlap import combine, overlap
from broker.science.sky import CELL_AREA, ORDER, separation
from broker.science.skymap import SkyMap, build

__all__ = ["run"]

Density = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def run(folder: Path, services: Services | None, *, quick: bool) -> dict[str, Any]:  # noqa: ARG001  alike for all benchmarks
    """Milliseconds for maps of the sizes of a GW event's and a Swift burst's, and what each way finds.

    Returns
    -------
    dict
        Sizes; by way: milliseconds and the overlap integral found.
    """
    wave, burst = _adaptive(4, 7, 0.25, _arc), _adaptive(7, 4, 0.045, _spot)
    overlap(wave, burst), combine(wave, burst)  # compiles
    turns = 3 if quick else 15
    figures: dict[str, Any] = {"cells": [wave.start.size, burst.start.size]}
    ways: dict[str, tuple[Callable[[], float], int]] = {
        "overlap, exact": (lambda: overlap(wave, burst), turns),
        "map of both": (lambda: float(combine(wave, burst).prob.sum()), turns),
        "overlap, nearest pixel centre": (lambda: _nearest(wave, burst), 1 if quick else 5),
    }
    table = Table("", "ms", "finds", title=f"Two sky maps of {wave.start.size:,} and {burst.start.size:,} cells (medians)")
    for name, (way, repeats) in ways.items():
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            found = way()
            times.append(time.perf_counter() - began)
        figures[name] = {"ms": 1e3 * statistics.median(times), "finds": found}
        table.add_row(name, f"{figures[name]['ms']:,.2f}", f"{found:.6g}")
    figures["every cell of the finest order"] = {"finds": _brute(wave, burst)}
    table.add_row("overlap, every cell of the finest order", "", f"{figures['every cell of the finest order']['finds']:.6g}")
    Console().print(table)
    return figures


def _arc(ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A stretch of a ring, as two detectors see."""
    ring = np.exp(-0.5 * ((separation(ra, dec, 100.0, 20.0) - 60.0) / 1.5) ** 2)
    return np.asarray(ring * np.exp(-0.5 * (separation(ra, dec, 150.0, -10.0) / 15.0) ** 2) + 1e-6, np.float64)


def _spot(ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * (separation(ra, dec, 151.0, -9.0) / 1.2) ** 2) + 1e-7, np.float64)


def _adaptive(order: int, rounds: int, share: float, density: Density) -> SkyMap:
    """All cells of an order, of which the likeliest are split in four, again and again, as BAYESTAR does."""
    orders, index = np.full(12 << (2 * order), order), np.arange(12 << (2 * order), dtype=np.int64)
    fixed = round(share * index.size)
    for _ in range(rounds):
        prob = _densities(orders, index, density) * 0.25**orders
        split = np.argsort(prob)[-fixed:]
        rest = np.setdiff1d(np.arange(index.size), split)
        index = np.concatenate([index[rest], (4 * index[split][:, None] + np.arange(4)).ravel()])
        orders = np.concatenate([orders[rest], np.repeat(orders[split] + 1, 4)])
    shift = 2 * (ORDER - orders)
    start, stop = index << shift, (index + 1) << shift
    found = _densities(orders, index, density)
    return build(start, stop, found / (float((found * (stop - start)).sum()) * CELL_AREA))


def _densities(orders: npt.NDArray[np.int64], index: npt.NDArray[np.int64], density: Density) -> npt.NDArray[np.float64]:
    ra, dec = healpy.pix2ang(1 << orders, index, nest=True, lonlat=True)
    return density(ra, dec)


def _centres(skymap: SkyMap) -> SkyCoord:
    order = ORDER - np.round(np.log2(skymap.stop - skymap.start) / 2).astype(np.int64)
    ra, dec = healpy.pix2ang(1 << order, skymap.start >> (2 * (ORDER - order)), nest=True, lonlat=True)
    return SkyCoord(ra * u.deg, dec * u.deg)


def _nearest(wave: SkyMap, burst: SkyMap) -> float:
    """As `skymap_overlap_integral` of ligo-raven 3.3 does with two multi-order maps: pixel by pixel of the first."""
    nearest = _centres(wave).match_to_catalog_sky(_centres(burst))[0]
    return float(4.0 * np.pi * (wave.prob * burst.density[nearest]).sum())


def _brute(wave: SkyMap, burst: SkyMap) -> float:
    finest = min(int((skymap.stop - skymap.start).min()) for skymap in (wave, burst))
    total, step = 0.0, finest * (1 << 22)
    for first in range(0, 12 << (2 * ORDER), step):
        cells = np.arange(first, min(first + step, 12 << (2 * ORDER)), finest)
        one, other = (_at(skymap, cells) for skymap in (wave, burst))
        total += float((one * other).sum())
    return 4.0 * np.pi * total * finest * CELL_AREA


def _at(skymap: SkyMap, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(skymap.density[np.searchsorted(skymap.start, cells, side="right") - 1], np.float64)
