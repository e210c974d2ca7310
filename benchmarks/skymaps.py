"""Sky maps: levels of points in 2D and 3D, beside ligo.skymap in the same run; a hundred live maps beside one."""

from __future__ import annotations

import io
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import healpy
import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.services import Services
from broker.alert import COMMON, PRIVATE, Batch
from broker.process.associate import LiveMap, associate
from broker.science.sky import radec_to_hpx
from broker.science.skymap import levels_at
from broker.science.skymap_fits import read_skymap
from broker.science.volume import tabulate, volume_levels_at
from broker.simulate import skymap as simulated

__all__ = ["run"]

TIME = datetime(2026, 11, 21, 4, tzinfo=UTC)
CROSSMATCHED = 1000
ALERTS = 2000


def run(folder: Path, services: Services | None, *, quick: bool) -> dict[str, Any]:  # noqa: ARG001  alike for all benchmarks
    """Points a second, ratios to ligo.skymap where it is installed, and the price of a hundred live maps.

    Returns
    -------
    dict
        Rates in points a second; times in seconds; medians of the repeats.
    """
    console, repeats = Console(), 3 if quick else 7
    data = _fits(0)
    figures = _rates(data, 200_000 if quick else 2_000_000, repeats)
    figures |= _beside_ligo(data, 1 if quick else 3)
    figures |= _live_maps(repeats)
    table = Table("what", "figure", title="Sky maps of 19,200 cells (medians)")
    for name, value in figures.items():
        table.add_row(name, value if isinstance(value, str) else f"{value:,.3g}")
    console.print(table)
    return figures


def _fits(number: int) -> bytes:
    """A map as BAYESTAR makes them; each number has its own place."""
    ra, dec = (197.0 + 137.5 * number) % 360.0, float(np.degrees(np.arcsin(np.sin(number * 1.7 - 0.4) * 0.95)))
    shape = simulated.Shape(ra, dec, radius=60, bearing=40 + 7 * number, width=2.5, length=12, distance=120, spread=25)
    made = simulated.build(shape, start_order=4)
    return simulated.to_fits(made, name=f"S261121{number}", time=TIME, made=TIME, instruments=("H1",), creator="benchmark")


def _median(work: Callable[[], object], repeats: int) -> float:
    work()  # compiles, fills caches
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _rates(data: bytes, number: int, repeats: int) -> dict[str, float]:
    rng, skymap = np.random.default_rng(1), read_skymap(data)
    hpx = radec_to_hpx(rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number))))
    distance = rng.uniform(1, 400, number)
    return {
        "2D: points a second": number / _median(lambda: levels_at(skymap, hpx), repeats),
        "3D: points a second": number / _median(lambda: volume_levels_at(skymap, hpx, distance), repeats),
        "2D: levels of a map, s": _median(lambda: read_skymap(data), repeats),
        "3D: levels of a map, s": _median(lambda: tabulate(replace(skymap)), repeats),
    }


def _beside_ligo(data: bytes, repeats: int) -> dict[str, float | str]:
    """A thousand points, positions in degrees to levels; theirs computes the levels with every call."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import astropy.units as u  # noqa: PLC0415 - loaded where it is measured
            from astropy.coordinates import SkyCoord  # noqa: PLC0415
            from ligo.skymap.io import read_sky_map  # noqa: PLC0415
            from ligo.skymap.postprocess import crossmatch  # noqa: PLC0415
    except ImportError:
        return {"beside ligo.skymap": "it is not installed"}
    rng, skymap = np.random.default_rng(2), read_skymap(data)
    row = rng.choice(skymap.start.size, CROSSMATCHED, p=skymap.prob / skymap.prob.sum())
    ra, dec = healpy.pix2ang(1 << 29, (skymap.start[row] + skymap.stop[row]) // 2, nest=True, lonlat=True)
    distance = np.clip(rng.normal(120, 25, CROSSMATCHED), 5.0, 600.0)
    solid = read_sky_map(io.BytesIO(data), moc=True)
    flat = solid["UNIQ", "PROBDENSITY"]
    here, there = SkyCoord(ra * u.deg, dec * u.deg), SkyCoord(ra * u.deg, dec * u.deg, distance * u.Mpc)
    ours2 = _median(lambda: levels_at(skymap, radec_to_hpx(ra, dec)), 20)
    ours3 = _median(lambda: volume_levels_at(skymap, radec_to_hpx(ra, dec), distance), 20)
    whole3 = _median(lambda: volume_levels_at(replace(skymap), radec_to_hpx(ra, dec), distance), 3)
    theirs2, theirs3 = _median(lambda: crossmatch(flat, here), 5), _median(lambda: crossmatch(solid, there), repeats)
    found, expected = volume_levels_at(skymap, radec_to_hpx(ra, dec), distance), crossmatch(solid, there)
    apart = np.abs(found - expected.searched_prob_vol)
    return {
        "2D, 1,000 points: times faster than crossmatch": theirs2 / ours2,
        "3D, 1,000 points: times faster than crossmatch": theirs3 / ours3,
        "3D, our levels computed anew: times faster": theirs3 / whole3,
        "2D: largest difference": float(
            np.abs(levels_at(skymap, radec_to_hpx(ra, dec))[0] - crossmatch(flat, here).searched_prob).max()
        ),
        "3D: largest difference": float(apart.max()),
        "3D: median difference": float(np.median(apart)),
    }


def _live_maps(repeats: int) -> dict[str, float]:
    """The step `associate` on a batch of alerts all over the sky."""
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, ALERTS), np.degrees(np.arcsin(rng.uniform(-1, 1, ALERTS)))
    given = {
        "alert_id": [f"ztf:{number}" for number in range(ALERTS)],
        "time": [TIME + timedelta(hours=1)] * ALERTS,
        "ra": ra,
        "dec": dec,
        "hpx": radec_to_hpx(ra, dec),
    }
    schema = {**COMMON, **PRIVATE}
    columns = {name: pl.Series(name, given.get(name, [None] * ALERTS), dtype=dtype) for name, dtype in schema.items()}
    batch = Batch("ztf", (), pl.DataFrame(columns), ALERTS)
    maps = [LiveMap(f"S{n}", 1, "GW", TIME, (-86_400.0, 86_400.0), read_skymap(_fits(n))) for n in range(100)]
    times = {}
    for number in (1, 100):
        step = associate(lambda _start, _end, live=tuple(maps[:number]): live)  # type: ignore[misc]
        times[number] = _median(lambda step=step: step(batch), 5 * repeats)  # type: ignore[misc]
    hits = step(batch).frame["skymaps"].list.len().sum()
    return {
        "associate, 2,000 alerts, 1 live map: s": times[1],
        "associate, 2,000 alerts, 100 live maps: s": times[100],
        "100 live maps beside 1: times": times[100] / times[1],
        "pairs of alert and map, of 100 maps": float(hits),
    }
