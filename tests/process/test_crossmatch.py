"""The nearest object of a catalogue is the one astropy and brute force find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.alert import Batch
from broker.process.crossmatch import crossmatch, nearest
from broker.science.sky import radec_to_hpx, separation
from broker.store import catalogs
from broker.store.catalog_sources import SourceTable

CORNERS = [(0.0, 90.0), (0.0, -90.0), (0.0, 0.0), (45.0, 41.8103), (90.0, 41.8103), (359.999999, 10.0), (180.0, -41.8103)]


def uniform(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def batch(ra: list[float | None] | np.ndarray, dec: list[float | None] | np.ndarray) -> Batch:
    lon, lat = (np.array([np.nan if value is None else value for value in axis], np.float64) for axis in (ra, dec))
    hpx = radec_to_hpx(lon, lat)
    frame = pl.DataFrame(
        {
            "alert_id": [f"a{i}" for i in range(len(lon))],
            "ra": pl.Series(ra, dtype=pl.Float64),
            "dec": pl.Series(dec, dtype=pl.Float64),
            "hpx": pl.Series([int(index) if index >= 0 else None for index in hpx], dtype=pl.Int64),
        }
    )
    return Batch("ztf", (), frame, frame.height)


def brute(catalog: catalogs.Catalog, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    apart = separation(ra[:, None], dec[:, None], catalog.ra[None], catalog.dec[None])
    apart = np.where(apart <= catalog.radius[None], apart, np.inf)
    return np.where(np.isfinite(apart.min(axis=1)), apart.argmin(axis=1), -1), apart.min(axis=1)


def test_equals_astropy_for_one_radius(tmp_path: Path) -> None:
    ra, dec = uniform(2_000, 1)
    catalog = catalogs.build(tmp_path, "c", SourceTable(ra, dec, np.full(ra.size, 3 * 3600.0), np.arange(ra.size), {}))
    lon, lat = uniform(500, 2)
    rows, apart = nearest(catalog, radec_to_hpx(lon, lat), lon, lat)
    apart_all = SkyCoord(lon[:, None], lat[:, None], unit="deg").separation(SkyCoord(catalog.ra, catalog.dec, unit="deg")).deg
    index, expected = apart_all.argmin(axis=1), apart_all.min(axis=1)
    near = expected <= 3.0
    assert 50 < near.sum() < 450
    np.testing.assert_array_equal(rows, np.where(near, index, -1))
    np.testing.assert_allclose(apart[near], expected[near], rtol=1e-9, atol=1e-12)


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> catalogs.Catalog:
    """Radii from an arcsecond to 60 degrees, objects crowded round poles, corners of base cells and the meridian."""
    rng = np.random.default_rng(3)
    ra, dec = uniform(3000, 4)
    spots = [(lon, lat, 10 ** rng.uniform(-5, 1, 300)) for lon, lat in CORNERS]
    ra = np.concatenate([ra, *((lon + rng.normal(0, 1, 300) * size) % 360 for lon, _, size in spots)])
    dec = np.concatenate([dec, *(np.clip(lat + rng.normal(0, 1, 300) * size, -90, 90) for _, lat, size in spots)])
    radius = 10 ** rng.uniform(0, 4, ra.size)
    radius[:3] = [60 * 3600, 30 * 3600, 45 * 3600]
    return catalogs.build(tmp_path_factory.mktemp("cats"), "varied", SourceTable(ra, dec, radius, np.arange(ra.size), {}))


@settings(max_examples=60, deadline=None)
@given(spot=st.sampled_from(CORNERS), scale=st.floats(-5, 1.5), seed=st.integers(0, 2**32 - 1))
def test_equals_brute_force_at_poles_wrap_and_edges(
    varied: catalogs.Catalog, spot: tuple[float, float], scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    ra = np.concatenate([[spot[0]], (spot[0] + rng.normal(0, 10**scale, 30)) % 360])
    dec = np.concatenate([[spot[1]], np.clip(spot[1] + rng.normal(0, 10**scale, 30), -90, 90)])
    rows, apart = nearest(varied, radec_to_hpx(ra, dec), ra, dec)
    expected, distance = brute(varied, ra, dec)
    np.testing.assert_array_equal(rows >= 0, expected >= 0)
    np.testing.assert_allclose(apart, distance, rtol=1e-7, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(order=st.integers(0, 12), seed=st.integers(0, 2**32 - 1))
def test_circles_of_the_cells_own_size_find_all(tmp_path_factory: pytest.TempPathFactory, order: int, seed: int) -> None:
    """Radii just below the bound by which the order is chosen, objects all round at that distance."""
    rng = np.random.default_rng(seed)
    radius = np.degrees(0.7 / (1 << order)) * 0.999
    if radius > 30:
        return
    ra, dec = uniform(40, seed % 1000)
    angle = rng.uniform(0, 360, (40, 8))
    points = SkyCoord(ra[:, None], dec[:, None], unit="deg").directional_offset_by(
        angle * SkyCoord(0, 0, unit="deg").ra.unit, 0.998 * radius * SkyCoord(0, 0, unit="deg").ra.unit
    )
    source = SourceTable(points.ra.deg.ravel(), points.dec.deg.ravel(), np.full(320, radius * 3600), np.arange(320), {})
    catalog = catalogs.build(tmp_path_factory.mktemp("c"), "rim", source)
    rows, apart = nearest(catalog, radec_to_hpx(ra, dec), ra, dec)
    expected, distance = brute(catalog, ra, dec)
    np.testing.assert_array_equal(rows >= 0, expected >= 0)
    np.testing.assert_allclose(apart, distance, rtol=1e-7)


def test_columns(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    path.write_text("id,ra,dec,mag,kind\ns1,10,20,12.5,F\ns2,0.0001,-30,,\n", encoding="utf-8")
    stars = catalogs.add(tmp_path / "cats", "stars", path, radius=5.0)
    empty = catalogs.add(tmp_path / "cats", "other", path, radius=0.001)
    given_batch = batch([10.0, 359.9999, None, 10.0, 100.0], [20.0 + 1 / 3600, -30.0, None, None, 0.0])
    got = crossmatch([stars, empty])(given_batch)
    assert got.received == got.frame.height == 5
    assert got.frame.columns[4:] == [f"{c}.{name}" for c in ("stars", "other") for name in ("sep", "id", "mag", "kind")]
    assert got.frame["stars.id"].to_list() == ["s1", "s2", None, None, None]
    assert got.frame["stars.sep"].to_list()[:2] == pytest.approx([1.0, 0.0002 * np.cos(np.radians(30)) * 3600], rel=1e-4)
    assert got.frame["stars.sep"].to_list()[2:] == [None] * 3
    assert got.frame["stars.mag"].to_list() == [12.5, None, None, None, None]
    assert got.frame["stars.kind"].to_list() == ["F", None, None, None, None]
    assert got.frame["other.sep"].null_count() == 5
    assert got.frame.select("other.sep", "other.id", "other.mag").dtypes == [pl.Float64, pl.String, pl.Float64]


def test_empty_batches_and_no_catalogues(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    path.write_text("id,ra,dec,mag\n1,10,20,12.5\n", encoding="utf-8")
    stars = catalogs.add(tmp_path / "cats", "stars", path)
    got = crossmatch([stars])(batch([], []))
    assert got.frame.height == 0
    assert got.frame.schema["stars.sep"] == pl.Float64
    assert got.frame.schema["stars.id"] == pl.String
    alone = batch([1.0], [2.0])
    assert crossmatch([])(alone) is alone


def test_an_extended_galaxy_reaches_as_far_as_it_is_large(tmp_path: Path) -> None:
    ngc = catalogs.add(tmp_path, "ngc")
    got = crossmatch([ngc])(batch([10.0, 10.6847, 197.450341, 60.0], [40.9, 41.2687, -23.381467, 60.0])).frame
    assert got["ngc.id"].to_list() == ["NGC0224", "NGC0224", "NGC4993", None]
    assert got["ngc.sep"][2] == pytest.approx(10.2, abs=0.2)  # AT 2017gfo
