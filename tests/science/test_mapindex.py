"""Many maps at once give what each map alone gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.science import mapindex, sky, skymap


def uniform(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return sky.radec_to_hpx(rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n))))


def test_coarse_cells_let_nothing_of_the_region_through() -> None:
    found = skymap.from_cone(45.0, 89.0, 3.0)
    rng = np.random.default_rng(11)
    hpx = sky.radec_to_hpx(rng.uniform(0, 360, 4000), rng.uniform(80, 90, 4000))
    level, _ = skymap.levels_at(found, hpx)
    ranges = skymap.credible_ranges(found, 0.95)
    for order in (3, 6, 8):
        touched = np.isin(hpx >> (2 * (sky.ORDER - order)), mapindex.coarse_cells(ranges[:, 0], ranges[:, 1], order))
        assert touched[level <= 0.95].all()
        assert not touched.all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.sampled_from([1, 3, 64, 65, 130]))
def test_equals_each_map_alone(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    maps = [
        skymap.from_cone(lon, lat, 10**size)
        for lon, lat, size in zip(
            rng.uniform(0, 360, count), rng.uniform(-90, 90, count), rng.uniform(-1, 1.8, count), strict=True
        )
    ]
    event, window = rng.integers(0, 1000, count), np.sort(rng.integers(-500, 500, (count, 2)), axis=1)
    hpx, time = uniform(400, seed), rng.integers(0, 1000, 400)
    hpx[:5], time[5:10] = -1, mapindex.NO_TIME
    index = mapindex.pack(maps, event.tolist(), [(int(a), int(b)) for a, b in window], 0.9)
    point, number, level, density = mapindex.lookup(index, hpx, time)
    expected = []
    for k, found in enumerate(maps):
        ranges = skymap.credible_ranges(found, 0.9)
        row = np.searchsorted(ranges[:, 0], hpx, side="right") - 1
        inside = (row >= 0) & (hpx < ranges[row, 1])
        late = (time - event[k] >= window[k, 0]) & (time - event[k] <= window[k, 1]) & (time != mapindex.NO_TIME)
        ours = skymap.levels_at(found, hpx)
        expected += [(i, k, ours[0][i], ours[1][i]) for i in np.flatnonzero(inside & late & (hpx >= 0))]
    assert sorted(zip(point, number, level, density, strict=True)) == sorted(expected)


def test_a_map_of_one_density_reaches_all_of_itself() -> None:
    start = np.array([3, 9], np.int64) << 56
    found = skymap.build(start, start + (1 << 56), np.full(2, 1 / (2 * sky.CELL_AREA * (1 << 56))))
    index = mapindex.pack([found], [0], [(-1, 1)], 0.9)
    point, number, level, _ = mapindex.lookup(index, np.array([3, 4, 9, 10]) << 56, np.zeros(4, np.int64))
    assert point.tolist() == [0, 2]
    assert number.tolist() == [0, 0]
    assert level == pytest.approx(1.0)
