"""Overlap of two maps and the map of both, held against every cell of order 29."""

from __future__ import annotations

from pathlib import Path

import healpy
import numpy as np
import numpy.typing as npt
import pytest

from broker.errors import SkyMapError
from broker.science import distance
from broker.science.overlap import combine, overlap
from broker.science.sky import CELL_AREA, NPIX29, ORDER, radec_to_hpx
from broker.science.skymap import SkyMap, build, from_cone, levels_at
from broker.science.skymap_fits import read_skymap

FloatArray = npt.NDArray[np.float64]


def mosaic(seed: int, first: int, cells: int, *, three: bool = False) -> SkyMap:
    """Map of ranges of all widths and random density, with gaps, that together reach over so many cells of order 29."""
    rng = np.random.default_rng(seed)
    edges = np.unique(np.concatenate([[0, cells], rng.integers(1, cells, 400)]))
    start, stop = first + edges[:-1], first + edges[1:]
    kept = rng.uniform(size=start.size) < 0.85
    kept[0] = kept[-1] = True
    start, stop = start[kept], stop[kept]
    density = rng.lognormal(0.0, 3.0, start.size)
    density[rng.uniform(size=start.size) < 0.05] = 0.0
    density /= (density * (stop - start)).sum() * CELL_AREA
    far = tuple(rng.uniform(10.0, 300.0, start.size) for _ in range(3)) if three else None
    return build(start, stop, density, distances=far)  # type: ignore[arg-type]


def flat(order: int, prob: FloatArray) -> SkyMap:
    width = 1 << (2 * (ORDER - order))
    start = np.arange(prob.size, dtype=np.int64) * width
    return build(start, start + width, prob / prob.sum() / (width * CELL_AREA))


def brute(a: SkyMap, b: SkyMap, first: int, cells: int) -> float:
    """The integral, one cell of order 29 after another."""
    points = np.arange(first, first + cells, dtype=np.int64)
    one, other = levels_at(a, points)[1], levels_at(b, points)[1]
    norm = one.sum() * CELL_AREA * other.sum() * CELL_AREA
    return float(4.0 * np.pi * (one * other).sum() * CELL_AREA / norm)


@pytest.mark.parametrize("seed", range(6))
def test_overlap_is_the_sum_over_every_cell_of_order_29(seed: int) -> None:
    first, cells = 1_234_567_890_123, 300_000
    a, b = mosaic(seed, first, cells), mosaic(seed + 100, first, cells)
    assert overlap(a, b) == pytest.approx(brute(a, b, first, cells), rel=1e-6)
    assert overlap(a, b) == overlap(b, a)


@pytest.mark.parametrize("shift", [0.0, 2e-7, 6e-7])
def test_of_two_tiny_circles_too(shift: float) -> None:
    """Both reach over the whole sky; what is sampled holds all but 1e-8 of the integral."""
    a, b = from_cone(40.0, 10.0, 6e-7), from_cone(40.0 + shift, 10.0, 9e-7)
    points = np.sort(healpy.query_disc(1 << ORDER, healpy.ang2vec(40.0, 10.0, lonlat=True), np.radians(4e-6), nest=True))
    one, other = levels_at(a, points)[1], levels_at(b, points)[1]
    assert overlap(a, b) == pytest.approx(4.0 * np.pi * float((one * other).sum()) * CELL_AREA, rel=1e-6)


def test_as_raven_has_it_where_raven_is_exact() -> None:
    """Two flat maps of one resolution: `skymap_overlap_integral` of ligo-raven 3.3 gives 0.9957962402791349."""
    rng = np.random.default_rng(7)
    a, b = rng.uniform(size=192), rng.uniform(size=192)
    assert overlap(flat(2, a), flat(2, b)) == pytest.approx(0.9957962402791349, rel=1e-12)


def test_whoever_knows_nothing_says_nothing() -> None:
    whole = build(np.array([0]), np.array([NPIX29]), np.array([1 / (4 * np.pi)]))
    spot = from_cone(10.0, -20.0, 0.5)
    assert overlap(whole, spot) == pytest.approx(1.0, rel=1e-12)
    assert overlap(whole, whole) == pytest.approx(1.0, rel=1e-12)
    both = combine(whole, spot)
    points = radec_to_hpx([10.0, 10.3, 200.0], [-20.0, -20.2, 70.0])
    assert levels_at(both, points)[1] == pytest.approx(levels_at(spot, points)[1], rel=1e-9)


def test_a_single_cell() -> None:
    at = int(radec_to_hpx([10.0], [-20.0])[0])
    cell = build(np.array([at]), np.array([at + 1]), np.array([1 / CELL_AREA]))
    circle = from_cone(10.0, -20.0, 0.5)
    assert overlap(cell, cell) == pytest.approx(NPIX29, rel=1e-12)
    assert overlap(cell, circle) == pytest.approx(4 * np.pi * float(levels_at(circle, [at])[1][0]), rel=1e-12)
    both = combine(circle, cell)
    assert (both.start.tolist(), both.stop.tolist(), both.prob.tolist()) == ([at], [at + 1], [1.0])


def test_maps_that_share_no_sky() -> None:
    a, b = mosaic(1, 0, 1000), mosaic(2, 5000, 1000)
    assert overlap(a, b) == 0.0
    with pytest.raises(SkyMapError, match="do not overlap"):
        combine(a, b)


def test_the_map_of_both_is_the_product_everywhere() -> None:
    first, cells = 77_000_000, 200_000
    a, b = mosaic(3, first, cells, three=True), mosaic(4, first, cells)
    both = combine(a, b)
    points = np.arange(first, first + cells, dtype=np.int64)
    product = levels_at(a, points)[1] * levels_at(b, points)[1]
    assert levels_at(both, points)[1] == pytest.approx(product / (product.sum() * CELL_AREA), rel=1e-9)
    assert both.prob.sum() == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("swapped", [False, True])
def test_distances_are_carried_and_their_mean_is_of_the_new_weights(swapped: bool) -> None:
    first, cells = 77_000_000, 20_000
    deep, wide = mosaic(3, first, cells, three=True), mosaic(4, first, cells)
    both = combine(wide, deep) if swapped else combine(deep, wide)
    assert both.distmu is not None
    assert both.distsigma is not None
    assert both.distnorm is not None
    assert deep.distmu is not None
    assert deep.distsigma is not None
    row = np.searchsorted(deep.start, both.start, side="right") - 1
    assert (both.distmu == deep.distmu[row]).all()
    moments = distance.conditional_moments(both.distmu, both.distsigma)
    mean = float((both.prob * moments[0]).sum())
    second = float((both.prob * (moments[0] ** 2 + moments[1] ** 2)).sum())
    assert both.facts.distmean == pytest.approx(mean)
    assert both.facts.diststd == pytest.approx(np.sqrt(second - mean**2))
    assert both.facts.distmean != pytest.approx(distance.marginal_moments(deep.prob, deep.distmu, deep.distsigma)[0])  # type: ignore[index]


def test_two_densities_far_from_one_keep_their_digits() -> None:
    first = 1 << 40
    tiny = build(np.array([first, first + 4]), np.array([first + 4, first + 8]), np.array([1e-300, 1 / (4 * CELL_AREA)]))
    other = build(np.array([first]), np.array([first + 4]), np.array([1 / (4 * CELL_AREA)]))
    assert combine(tiny, other).prob.tolist() == [1.0]
    assert overlap(tiny, other) > 0.0


def test_a_real_map_and_a_circle_in_it(data_dir: Path) -> None:
    file = data_dir / "skymaps" / "gwcelery__482782ee__MS220722v_bayestar.multiorder.fits"
    if not file.exists():
        pytest.skip(f"no {file.name} among the real maps")
    gw = read_skymap(file.read_bytes())
    peak = int(np.argmax(gw.density))
    ra, dec = healpy.pix2ang(1 << ORDER, int(gw.start[peak] + gw.stop[peak]) // 2, nest=True, lonlat=True)
    burst = from_cone(float(ra), float(dec), 3.0)
    both = combine(gw, burst)
    assert overlap(gw, burst) > 10.0
    assert both.is_3d
    assert both.facts.distmean == pytest.approx(gw.facts.distmean, rel=0.5)
    # By the cells of the finer of the two: every one of them lies in one range of both.
    order, total = max(gw.facts.order, burst.facts.order), 0.0
    for part in range(12):
        cells = ((part << (2 * order)) + np.arange(1 << (2 * order), dtype=np.int64)) << (2 * (ORDER - order))
        total += float((levels_at(gw, cells)[1] * levels_at(burst, cells)[1]).sum())
    assert overlap(gw, burst) == pytest.approx((4 * np.pi) ** 2 * total / (12 << (2 * order)), rel=1e-6)
