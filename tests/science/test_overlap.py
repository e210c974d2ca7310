"""Overlap and product of sky maps, against doing it cell by cell."""

from __future__ import annotations

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import SkyMapError
from broker.science.overlap import combine, overlap
from broker.science.sky import CELL_AREA, ORDER
from broker.science.skymap import SkyMap, build, from_cone

FIRST = 123_456_789_012  # of a patch of order-29 cells
CELLS = 4**6


def patch(seed: int, pieces: int, *, gaps: bool = True) -> SkyMap:
    """Random map of ranges within a few thousand cells of order 29."""
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.choice(CELLS - 1, 2 * pieces, replace=False)) + 1
    start, stop = (edges[::2], edges[1::2]) if gaps else (np.r_[0, edges], np.r_[edges, CELLS])
    weight = rng.random(start.size)
    density = weight / (weight * (stop - start)).sum() / CELL_AREA
    return build(start + FIRST, stop + FIRST, density)


def cells(skymap: SkyMap) -> np.ndarray:
    """Density of every cell of the patch."""
    found = np.zeros(CELLS)
    for start, stop, density in zip(skymap.start - FIRST, skymap.stop - FIRST, skymap.density, strict=True):
        found[start:stop] = density
    return found


@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_it_is_what_adding_up_all_cells_gives(seed: int, one: int, other: int) -> None:
    a, b = patch(seed, one), patch(seed + 1, other, gaps=False)
    brute = 4.0 * np.pi * float((cells(a) * cells(b)).sum()) * CELL_AREA
    assert overlap(a, b) == pytest.approx(brute, rel=1e-9)
    assert overlap(b, a) == pytest.approx(overlap(a, b), rel=1e-12)
    both = combine(a, b)
    product = cells(a) * cells(b)
    assert np.allclose(cells(both), product / (product.sum() * CELL_AREA), rtol=1e-9)


def test_all_the_sky_agrees_with_everything() -> None:
    everywhere = build(np.array([0]), np.array([12 << 58]), np.array([1.0 / (4.0 * np.pi)]))
    spot = from_cone(10.0, 20.0, 2.0)
    assert overlap(everywhere, spot) == pytest.approx(1.0, abs=1e-9)
    assert combine(everywhere, spot).density == pytest.approx(spot.density[spot.density > 0.0])


def test_two_gaussians() -> None:
    """On a small patch two circular Gaussians have the closed form of the plane."""
    sigma = np.radians(0.5) / np.sqrt(-2.0 * np.log(0.1))
    for apart in (0.0, 0.3, 0.8):
        a, b = from_cone(200.0, 0.0, 0.5), from_cone(200.0 + apart, 0.0, 0.5)
        closed = 4.0 * np.pi * np.exp(-(np.radians(apart) ** 2) / (4.0 * sigma**2)) / (4.0 * np.pi * sigma**2)
        assert overlap(a, b) == pytest.approx(closed, rel=0.02)


def test_what_lies_apart_cannot_be_combined() -> None:
    north = build(np.array([0]), np.array([4 << 20]), np.array([1.0 / ((4 << 20) * CELL_AREA)]))
    south = build(np.array([8 << 58]), np.array([(8 << 58) + 1]), np.array([1.0 / CELL_AREA]))
    assert overlap(north, south) == 0.0
    with pytest.raises(SkyMapError, match="no place in common"):
        combine(north, south)


def test_distances_are_carried_over() -> None:
    index = np.arange(48, dtype=np.int64)
    start, stop = index << 56, (index + 1) << 56
    rng = np.random.default_rng(3)
    density = rng.random(48)
    density /= density.sum() * (1 << 56) * CELL_AREA
    mu, sigma = rng.uniform(30.0, 200.0, 48), rng.uniform(3.0, 20.0, 48)
    norm = 1.0 / (mu**2 + sigma**2)
    deep = build(start, stop, density, distances=(mu, sigma, norm))
    ra, dec = healpy.pix2ang(2, 5, nest=True, lonlat=True)
    flat = from_cone(float(ra), float(dec), 20.0)
    for both in (combine(deep, flat), combine(flat, deep)):
        assert both.distmu is not None
        assert both.distnorm is not None
        owner = both.start >> 56
        assert np.array_equal(both.distmu, mu[owner])
        assert np.array_equal(both.distnorm, norm[owner])
        assert both.facts.distmean is None
    assert ORDER == 29
