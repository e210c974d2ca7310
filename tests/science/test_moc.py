"""Regions as coverage maps against mocpy, their outlines, and the probability inside a region."""

from __future__ import annotations

from pathlib import Path

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from broker.errors import UsageError
from broker.science import moc, sky
from broker.science.annulus import from_annulus
from broker.science.skymap import build, credible_ranges, from_cone

CONE = from_cone(40.0, -30.0, 5.0)
RING = from_annulus(200.0, 20.0, 25.0, 4.0, 1.0)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_every_form_is_read_back_by_mocpy(level: float, tmp_path: Path) -> None:
    found = moc.moc_of(RING, level)
    assert moc.contains(credible_ranges(RING, level), RING) >= level
    file = tmp_path / "moc.fits"
    file.write_bytes(moc.to_fits(found))
    assert MOC.from_fits(file) == found
    assert MOC.from_string(moc.to_ascii(found)) == found
    assert MOC.from_json(moc.to_json(found)) == found


@settings(max_examples=60, deadline=None)
@given(edges=st.lists(st.integers(0, sky.NPIX29), min_size=2, max_size=12, unique=True))
def test_cells_of_ranges_are_those_of_mocpy(edges: list[int]) -> None:
    bounds = sorted(edges[: len(edges) // 2 * 2])
    ranges = np.array(bounds, np.int64).reshape(-1, 2)
    theirs = MOC.from_depth29_ranges(29, ranges.astype(np.uint64)).uniq_hpx
    assert sorted(moc.uniq_cells(ranges).tolist()) == sorted(theirs.astype(np.int64).tolist())


def test_the_whole_sky_and_none_of_it() -> None:
    assert moc.uniq_cells(np.array([[0, sky.NPIX29]])).tolist() == list(range(4, 16))
    assert moc.uniq_cells(np.empty((0, 2), np.int64)).size == 0
    index = np.arange(12, dtype=np.int64) << 58
    everything = build(index, index + (1 << 58), np.full(12, 1 / (4 * np.pi)))
    assert moc.outlines(everything, 0.9) == []


@pytest.mark.parametrize("radius", [1.0, 5.0, 20.0])
def test_probability_in_a_circle(radius: float) -> None:
    held = moc.contains(moc.disc_ranges(40.0, -30.0, radius), CONE)
    kappa = -np.log(0.1) / (1 - np.cos(np.radians(5.0)))
    assert held == pytest.approx(1 - np.exp(-kappa * (1 - np.cos(np.radians(radius)))), abs=3e-3)
    assert moc.contains(moc.disc_ranges(40.0, -30.0, 180.0), CONE) == pytest.approx(1.0)
    assert moc.contains(moc.disc_ranges(220.0, 30.0, radius), CONE) < 1e-6


def test_probability_in_a_polygon() -> None:
    half = moc.polygon_ranges([(40, -30), (40, 20), (80, 20), (80, -80), (40, -80)])
    assert moc.contains(half, CONE) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("corners", [[(0, 0), (1, 1)], [(0, 0), (1, 0), (1, 91)], [(1, 1)] * 3])
def test_impossible_regions_are_refused(corners: list[tuple[float, float]]) -> None:
    with pytest.raises(UsageError):
        moc.polygon_ranges(corners)
    with pytest.raises(UsageError):
        moc.disc_ranges(0, 0, -1)


@pytest.mark.parametrize(("ra", "dec"), [(40.0, -30.0), (0.0, 0.0), (10.0, 89.9), (135.0, 41.8)])
def test_the_outline_of_a_circle_is_one_loop_around_it(ra: float, dec: float) -> None:
    lines = moc.outlines(from_cone(ra, dec, 5.0), 0.9)
    assert len(lines) == 1
    np.testing.assert_array_equal(lines[0][0], lines[0][-1])
    apart = sky.separation(ra, dec, lines[0][:, 0], lines[0][:, 1])
    assert (np.abs(apart - 5.0) < 0.5).all()


def test_an_annulus_has_an_outer_and_an_inner_outline() -> None:
    lines = moc.outlines(RING, 0.9)
    assert len(lines) == 2
    reach = sorted(float(sky.separation(200.0, 20.0, line[:, 0], line[:, 1]).mean()) for line in lines)
    across = 1.645 * 4.0
    assert reach == pytest.approx([25.0 - across, 25.0 + across], abs=0.7)
    features = moc.to_geojson(RING, (0.5, 0.9))["features"]
    assert [len(feature["geometry"]["coordinates"]) for feature in features] == [2, 2]


def test_a_checkerboard_has_all_its_edges() -> None:
    order, cells = 2, np.array([5, 6, 40, 100], np.int64)  # 5 and 6 touch at a corner
    shift = 2 * (sky.ORDER - order)
    density = np.full(4, 1 / (4 * healpy.nside2pixarea(1 << order)))
    lines = moc.outlines(build(cells << shift, (cells + 1) << shift, density), 1.0)
    assert sum(len(line) - 1 for line in lines) >= 16
