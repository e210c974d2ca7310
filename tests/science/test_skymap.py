"""Credible levels, areas and error circles against closed forms, brute force and mocpy."""

from __future__ import annotations

import astropy.units as u
import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from broker.errors import SkyMapError
from broker.science import sky, skymap


def tiled(order: int, prob: np.ndarray) -> skymap.SkyMap:
    """Map of all cells of an order, in shuffled order of storage."""
    shift = 2 * (sky.ORDER - order)
    index = np.random.default_rng(7).permutation(prob.size).astype(np.int64)
    return skymap.build(index << shift, (index + 1) << shift, prob[index] / (sky.CELL_AREA * (1 << shift)))


def gaussian(order: int, ra: float, dec: float, sigma: float) -> np.ndarray:
    nside = 1 << order
    lon, lat = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    prob = np.exp(-0.5 * (sky.separation(ra, dec, lon, lat) / sigma) ** 2)
    return prob / prob.sum()


def test_level_of_a_gaussian_is_its_integral() -> None:
    s = np.radians(8.0)
    found = tiled(7, gaussian(7, 200.0, -30.0, 8.0))
    hpx = sky.radec_to_hpx(np.full(60, 200.0), -30.0 + np.linspace(0.5, 25.0, 60))
    level, density = skymap.levels_at(found, hpx)
    centre = healpy.pix2ang(1 << 7, hpx >> 44, nest=True, lonlat=True)
    theta = np.radians(sky.separation(200.0, -30.0, *centre))
    grid = np.linspace(0, np.pi, 20001)
    within = np.cumsum(np.sin(grid) * np.exp(-0.5 * (grid / s) ** 2))
    np.testing.assert_allclose(level, np.interp(theta, grid, within / within[-1]), atol=4e-3)
    np.testing.assert_allclose(density, np.exp(-0.5 * (theta / s) ** 2) / (2 * np.pi * s**2), rtol=0.01)


@pytest.mark.parametrize("probability", [0.5, 0.9])
def test_area_of_a_gaussian_is_the_closed_form(probability: float) -> None:
    sigma = 3.0
    found = tiled(8, gaussian(8, 10.0, 60.0, sigma))
    expected = -2 * np.log(1 - probability) * np.pi * sigma**2
    assert skymap.area(found, probability) == pytest.approx(expected, rel=5e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kinds=st.integers(1, 6))
def test_levels_equal_brute_force_with_ties(seed: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    prob = rng.choice(rng.integers(0, 9, kinds) / 8.0, 192) if kinds < 6 else rng.random(192)
    if prob.sum() == 0:
        prob[:] = 1.0
    prob = prob / prob.sum()
    found = tiled(2, prob)
    shift = 2 * (sky.ORDER - 2)
    level, _ = skymap.levels_at(found, np.arange(192) << shift)
    expected = [1.0 if p == 0 else prob[prob >= p].sum() for p in prob]
    np.testing.assert_allclose(level, expected, atol=1e-12)
    assert level.max() <= 1.0


def test_tied_cells_share_the_upper_end_however_they_are_stored() -> None:
    prob = np.zeros(48)
    prob[[3, 17, 40, 41]] = 0.25
    for wanted in (0.9, 0.1):
        found = tiled(1, prob)
        level, _ = skymap.levels_at(found, np.array([3, 17, 40, 41, 5]) << (2 * 28))
        assert level.tolist() == [1.0, 1.0, 1.0, 1.0, 1.0]
        assert skymap.area(found, wanted) == pytest.approx(wanted * 4 * 41252.96 / 48, rel=1e-6)


def test_uniform_sky() -> None:
    found = tiled(0, np.full(12, 1 / 12))
    assert skymap.area(found, 0.9) == pytest.approx(0.9 * 41252.96, rel=1e-6)
    assert skymap.area(found, 1.0) == pytest.approx(41252.96, rel=1e-6)
    assert skymap.area(found, 0.0) == 0.0


def test_region_holds_what_mocpy_says() -> None:
    order, rng = 5, np.random.default_rng(3)
    prob = rng.random(12 << (2 * order)) ** 8
    prob /= prob.sum()
    found = tiled(order, prob)
    uniq = (4 << (2 * order)) + np.arange(prob.size)
    # mocpy fills up to the level; its region and ours differ by the one cell in which the level is reached
    theirs = MOC.from_valued_healpix_cells(uniq.astype(np.uint64), prob, order, cumul_to=0.9, strict=True)
    ours = MOC.from_depth29_ranges(order, skymap.credible_ranges(found, 0.9).astype(np.uint64))
    apart = ours.symmetric_difference(theirs) if hasattr(ours, "symmetric_difference") else ours.difference(theirs)
    assert apart.sky_fraction <= 1.01 / prob.size
    lon, lat = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    level, _ = skymap.levels_at(found, sky.radec_to_hpx(lon, lat))
    inside = ours.contains_lonlat(lon * u.deg, lat * u.deg)
    assert inside[level <= 0.9].all()
    assert (level[inside] < 0.905).all()


def test_a_region_of_ties_is_whole() -> None:
    prob = np.zeros(48)
    prob[[3, 17, 40, 41]] = 0.25
    found = tiled(1, prob)
    assert skymap.credible_ranges(found, 0.1).tolist() == [[3 << 56, 4 << 56], [17 << 56, 18 << 56], [40 << 56, 42 << 56]]
    assert skymap.region(found, 1.0).sum() == 4


def test_kept_arrays_make_the_map_again() -> None:
    found = skymap.from_cone(10.0, 20.0, 3.0)
    arrays, facts = skymap.to_arrays(found)
    again = skymap.from_arrays({name: array for name, array in arrays.items() if array is not None}, facts)
    assert again.facts == found.facts
    assert again.distmu is None
    np.testing.assert_array_equal(again.level, found.level)


def test_outside_the_map_and_without_position() -> None:
    shift = 2 * (sky.ORDER - 1)
    found = skymap.build(
        np.array([5], np.int64) << shift, np.array([6], np.int64) << shift, np.array([1 / (sky.CELL_AREA * (1 << shift))])
    )
    level, density = skymap.levels_at(found, np.array([0, 5 << shift, (6 << shift) - 1, 6 << shift, 47 << shift, -1]))
    np.testing.assert_array_equal(level, [1, 1, 1, 1, 1, np.nan])
    assert (density[1:3] > 0).all()
    np.testing.assert_array_equal(density[[0, 3, 4, 5]], [0, 0, 0, np.nan])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.__setitem__(3, np.nan), "not a finite number"),
        (lambda d: d.__setitem__(3, np.inf), "not a finite number"),
        (lambda d: d.__setitem__(3, -1e-12), "negative"),
        (lambda d: d.__imul__(0.0), "sum to 0"),
        (lambda d: d.__imul__(1.2), "not normalised"),
        (lambda d: d.__imul__(0.5), "not normalised"),
        (lambda d: d.__iadd__(1e308), "cannot be normalised|not normalised"),
    ],
)
def test_what_is_no_probability_map_is_refused(change, reason: str) -> None:
    density = np.full(12, 1 / (4 * np.pi))
    change(density)
    index = np.arange(12, dtype=np.int64) << 58
    with np.errstate(over="ignore"), pytest.raises(SkyMapError, match=reason):
        skymap.build(index, index + (1 << 58), density)


def test_cells_that_overlap_or_leave_the_sphere_are_refused() -> None:
    index = np.arange(12, dtype=np.int64) << 58
    density = np.full(12, 1 / (4 * np.pi))
    with pytest.raises(SkyMapError, match="overlap"):
        skymap.build(index, index + (1 << 58) + (index == 0), density)
    with pytest.raises(SkyMapError, match="on the sphere"):
        skymap.build(index + (1 << 58), index + (2 << 58), density)
    with pytest.raises(SkyMapError, match="no cells"):
        skymap.build(index[:0], index[:0], density[:0])


def test_small_departures_are_scaled_and_told() -> None:
    index = np.arange(12, dtype=np.int64) << 58
    found = skymap.build(index, index + (1 << 58), np.full(12, 1.02 / (4 * np.pi)))
    assert found.prob.sum() == pytest.approx(1.0)
    assert not found.facts.normalised
    assert found.facts.total == pytest.approx(1.02)


def test_a_map_cannot_be_written_to() -> None:
    found = skymap.from_cone(1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="read-only"):
        found.level[0] = 0.0


@settings(max_examples=40, deadline=None)
@given(
    ra=st.floats(-360, 720),
    dec=st.floats(-90, 90),
    log_radius=st.floats(np.log10(1 / 3600), 1.8),
    containment=st.floats(0.3, 0.99),
)
def test_error_circle_holds_its_probability(ra: float, dec: float, log_radius: float, containment: float) -> None:
    radius = 10.0**log_radius
    found = skymap.from_cone(ra, dec, radius, containment)
    assert found.prob.sum() == pytest.approx(1.0)
    assert int((found.stop - found.start).sum()) == sky.NPIX29
    middle = (found.start + found.stop) // 2
    lon, lat = healpy.pix2ang(1 << sky.ORDER, middle, nest=True, lonlat=True)
    held = found.prob[sky.separation(ra, dec, lon, lat) < radius].sum()
    assert held == pytest.approx(containment, abs=0.03)
    assert found.start.size < 30_000
    level, _ = skymap.levels_at(found, sky.radec_to_hpx([ra], [dec]))
    assert level[0] < 0.05


def test_area_of_an_error_circle() -> None:
    for radius in (0.01, 1.0, 10.0, 60.0):
        cap = 2 * np.pi * (1 - np.cos(np.radians(radius))) * np.degrees(1) ** 2
        assert skymap.area(skymap.from_cone(123.0, -45.0, radius, 0.9), 0.9) == pytest.approx(cap, rel=0.02)


def test_the_widest_circle_is_the_whole_sky() -> None:
    found = skymap.from_cone(0.0, 0.0, 180.0, 0.9)
    assert skymap.area(found, 0.9) == pytest.approx(0.9 * 41252.96, rel=1e-3)


@pytest.mark.parametrize(("dec", "radius", "held"), [(91, 1, 0.9), (0, 0, 0.9), (0, 181, 0.9), (0, np.nan, 0.9), (0, 1, 1.0)])
def test_impossible_circles_are_refused(dec: float, radius: float, held: float) -> None:
    with pytest.raises(SkyMapError, match="error circle"):
        skymap.from_cone(10.0, dec, radius, held)
