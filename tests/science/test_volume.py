"""Credible levels in volume against brute force and against ligo.skymap."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import healpy
import numpy as np
import pytest

from broker.errors import SkyMapError
from broker.science import sky
from broker.science.distance import conditional_moments
from broker.science.skymap import SkyMap, area, build, from_cone, levels_at
from broker.science.skymap_fits import read_skymap
from broker.science.volume import tabulate, volume_levels_at
from broker.simulate import skymap as simulated

TIME = datetime(2026, 11, 21, 4, tzinfo=UTC)
SHAPE = simulated.Shape(ra=197.0, dec=-23.0, radius=60, bearing=40, width=2.5, length=12, distance=120, spread=25)


def fits_of(shape: simulated.Shape) -> bytes:
    made = simulated.build(shape)
    return simulated.to_fits(made, name="S261121a", time=TIME, made=TIME, instruments=("H1",), creator="test")


def tiled(prob: np.ndarray, mu: np.ndarray, sigma: np.ndarray, norm: np.ndarray) -> SkyMap:
    order = round(np.log2(prob.size / 12) / 2)
    shift = 2 * (sky.ORDER - order)
    start = np.arange(prob.size, dtype=np.int64) << shift
    density = prob / (sky.CELL_AREA * (1 << shift))
    return build(start, start + (1 << shift), density, distances=(mu, sigma, norm))


def drawn(skymap: SkyMap, number: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places and distances as probable as the map says."""
    rng = np.random.default_rng(seed)
    row = rng.choice(skymap.start.size, number, p=skymap.prob / skymap.prob.sum())
    hpx = (skymap.start[row] + rng.random(number) * (skymap.stop[row] - skymap.start[row])).astype(np.int64)
    mean, std = conditional_moments(skymap.distmu[row], skymap.distsigma[row])
    return hpx, row, np.abs(rng.normal(mean, std))


def brute(skymap: SkyMap, row: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """All voxels of a fine grid, sorted by their density."""
    r = (np.arange(3000) + 0.5) * 0.1
    mu, sigma, norm = (column[:, None] for column in (skymap.distmu, skymap.distsigma, skymap.distnorm))

    def log_density(r: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
        with np.errstate(divide="ignore"):
            peak = np.log(skymap.density[rows, None]) + np.log(norm[rows]) - np.log(sigma[rows])
        return peak - 0.5 * ((r - mu[rows]) / sigma[rows]) ** 2

    every = log_density(r[None, :], slice(None))
    mass = np.exp(every) * r**2 * 0.1 * (skymap.prob / skymap.density)[:, None] / np.sqrt(2 * np.pi)
    falling = np.argsort(-every.ravel())
    cumulative = np.cumsum(mass.ravel()[falling])
    wanted = log_density(distance[:, None], row)[:, 0]
    return cumulative[np.searchsorted(-every.ravel()[falling], -wanted) - 1]


def test_levels_equal_brute_force() -> None:
    rng = np.random.default_rng(4)
    prob = rng.random(192) ** 6
    mu, sigma = rng.uniform(60, 140, 192), rng.uniform(8, 25, 192)
    found = tiled(prob / prob.sum(), mu, sigma, 1 / (mu**2 + sigma**2))
    hpx, row, distance = drawn(found, 400, 5)
    level = volume_levels_at(found, hpx, distance)
    np.testing.assert_allclose(level, brute(found, row, distance), atol=2e-3)
    assert 0.4 < np.median(level) < 0.6  # levels of the probable are uniform
    assert np.histogram(level, 4, (0, 1))[0].min() > 60


def test_one_line_of_sight_is_a_gaussian() -> None:
    prob, mu = np.zeros(12), np.full(12, 1000.0)
    prob[3] = 1.0
    found = tiled(prob, mu, np.full(12, 1.0), np.full(12, 1e-6))
    hpx = np.full(5, 3 << 58) + 7
    level = volume_levels_at(found, hpx, 1000.0 + np.array([0.0, 0.6745, 1.0, 1.6449, 3.0]))
    np.testing.assert_allclose(level, [0.0, 0.5, 0.6827, 0.9, 0.9973], atol=2e-3)


def test_huge_norms_and_cells_without_a_distance() -> None:
    mu = np.array([-1e2, -15.0, np.inf, 50.0, np.nan, 50.0, -1e9, *[60.0] * 5])
    sigma = np.array([6.5, 1.0, 1.0, 10.0, 1.0, 0.0, 3.0, *[10.0] * 5])
    norm = np.array([1e52, np.inf, 0.0, 1 / 2600, 1.0, 1.0, np.inf, *[1 / 3700] * 5])
    found = tiled(np.full(12, 1 / 12), mu, sigma, norm)
    hpx = (np.arange(12, dtype=np.int64) << 58) + 5
    level = volume_levels_at(found, hpx, np.full(12, 20.0))
    assert np.isfinite(level).all()
    np.testing.assert_array_equal(level[[2, 4, 5]], 1.0)
    table = tabulate(found)
    assert np.isfinite(table.level).all()
    assert (np.diff(table.level) >= 0).all()
    # a line of sight whose norm does not fit into the file still holds its share
    near = volume_levels_at(found, hpx[[1]], [1e-3])
    assert 0.0 <= near[0] < 0.5


def test_what_is_not_there() -> None:
    found = read_skymap(fits_of(SHAPE))
    level = volume_levels_at(found, [-1, 5, 5, 5], [100.0, np.nan, -1.0, 1e9])
    np.testing.assert_array_equal(level, [np.nan, np.nan, np.nan, 1.0])
    assert volume_levels_at(found, np.array([[5, 6]]), 100.0).shape == (1, 2)
    with pytest.raises(SkyMapError, match="two-dimensional"):
        volume_levels_at(from_cone(1, 2, 3), [5], [1.0])
    flat = tiled(np.full(12, 1 / 12), np.full(12, np.inf), np.ones(12), np.zeros(12))
    with pytest.raises(SkyMapError, match="usable distance"):
        volume_levels_at(flat, [5], [1.0])


def test_the_table_is_made_once() -> None:
    found = read_skymap(fits_of(SHAPE))
    assert tabulate(found) is tabulate(found)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [SHAPE, simulated.Shape(20, 60, 90, 0, 12, 30, 800, 190)], ids=["near", "far"])
def test_levels_and_areas_are_those_of_ligo_skymap(shape: simulated.Shape) -> None:
    pytest.importorskip("ligo.skymap", reason="ligo.skymap is not installed: pip install -e '.[dev]'")
    import astropy.units as u
    from astropy.coordinates import SkyCoord
    from ligo.skymap.io import read_sky_map
    from ligo.skymap.postprocess import crossmatch

    data = fits_of(shape)
    found = read_skymap(data)
    hpx, _, distance = drawn(found, 300, 6)
    lon, lat = healpy.pix2ang(1 << sky.ORDER, hpx, nest=True, lonlat=True)
    distance = np.clip(distance, 0.02 * shape.distance, 5.5 * shape.distance)
    theirs = crossmatch(
        read_sky_map(io.BytesIO(data), moc=True), SkyCoord(lon * u.deg, lat * u.deg, distance * u.Mpc), contours=(0.5, 0.9)
    )
    np.testing.assert_allclose(levels_at(found, hpx)[0], theirs.searched_prob, atol=1e-6)
    np.testing.assert_allclose([area(found, 0.5), area(found, 0.9)], theirs.contour_areas, rtol=1e-6)
    apart = np.abs(volume_levels_at(found, hpx, distance) - theirs.searched_prob_vol)
    assert apart.max() < 0.02
    assert np.median(apart) < 4e-3
