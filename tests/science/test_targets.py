"""Nearest targets, and those that reach a position, are the ones brute force finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.science.sky import separation
from broker.science.targets import index_targets, match

MAS = 1.0 / 3.6e6
SPOTS = [(0.0, 90.0), (0.0, -90.0), (123.0, 89.9999999), (0.0, 0.0), (359.9999999, 10.0), (180.0, -41.8103), (45.0, 0.0)]
Array = np.ndarray


def around(rng: np.random.Generator, spot: tuple[float, float], scale: float, count: int) -> tuple[Array, Array]:
    """Places round a spot, across the poles and the meridian too."""
    lon, lat = np.radians(spot)
    centre = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    x, y, z = (centre + rng.normal(0, np.radians(scale), (count, 3))).T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def brute(
    targets: tuple[Array, Array], radius: Array, points: tuple[Array, Array], within: float
) -> tuple[Array, Array, Array, Array]:
    """Least separation, how near the nearest target's reach is to its limit, whether any reaches, which is nearest."""
    apart = separation(points[0][:, None], points[1][:, None], targets[0][None], targets[1][None])
    inside = (apart <= radius).any(axis=1)
    doubtful = (np.abs(apart - radius) < 1e-4 * MAS).any(axis=1)
    nearest = np.where(apart.min(axis=1) <= within, apart.argmin(axis=1), -1)
    return apart.min(axis=1), doubtful, inside, nearest


@settings(max_examples=150, deadline=None)
@given(
    spot=st.sampled_from(SPOTS),
    scale=st.floats(-7, 1.5),
    count=st.integers(1, 400),
    reach=st.floats(-7, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_brute_force(spot: tuple[float, float], scale: float, count: int, reach: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = around(rng, spot, 10**scale, count)
    radius = 10 ** (reach + rng.normal(0, 1, count)).clip(-8, 1)
    points = tuple(np.append(*pair) for pair in zip(around(rng, spot, 10**scale, 60), targets, strict=True))
    row, apart, inside = match(index_targets(*targets, radius), *points, 1.0)
    least, doubtful, reached, nearest = brute(targets, radius, points, 1.0)
    near = least <= 1.0
    sure = np.abs(least - 1.0) > MAS
    np.testing.assert_array_equal((row >= 0)[sure], near[sure])
    np.testing.assert_allclose(apart[near & sure], least[near & sure], rtol=0, atol=1e-3 * MAS)
    np.testing.assert_array_equal(inside[~doubtful], reached[~doubtful])
    # Which target is told: no other is nearer.
    told = separation(points[0][near & sure], points[1][near & sure], *(axis[row[near & sure]] for axis in targets))
    np.testing.assert_allclose(told, least[near & sure], rtol=0, atol=1e-3 * MAS)
    assert (nearest[sure] >= 0).sum() == (row[sure] >= 0).sum()


def test_inside_is_of_any_target_and_not_of_the_nearest() -> None:
    index = index_targets([10.0, 10.5], [0.0, 0.0], [1 / 3600, 0.6])
    row, apart, inside = match(index, [10.01, 10.01, 9.0], [0.0, 0.5, 0.0])
    assert row.tolist() == [0, 0, 0]
    assert apart[0] == pytest.approx(0.01)
    assert inside.tolist() == [True, False, False]
    far = match(index_targets([0.0], [0.0], [20.0]), [15.0], [0.0])
    assert (far[0].tolist(), far[1].tolist(), far[2].tolist()) == ([-1], [np.inf], [True])


def test_a_milliarcsecond_decides() -> None:
    for ra, dec in SPOTS:
        index = index_targets([ra], [dec], [1 / 3600])
        for milliarcseconds, expected in ((999.0, True), (1001.0, False)):
            step = milliarcseconds * MAS * (1 if dec < 0 else -1)
            assert match(index, [ra], [dec + step])[2].tolist() == [expected], (ra, dec)
        assert match(index, [ra + 360.0], [dec])[1][0] * 3600 < 1e-6


def test_equally_near_targets_are_told_by_their_order() -> None:
    assert match(index_targets([5.0] * 50, [5.0] * 50, 1.0), [5.1], [5.0])[0].tolist() == [0]


def test_no_targets_and_no_position() -> None:
    row, apart, inside = match(index_targets([], [], 1.0), [1.0], [2.0])
    assert (row.tolist(), apart.tolist(), inside.tolist()) == ([-1], [np.inf], [False])
    row, apart, inside = match(index_targets([1.0], [2.0], 180.0), [np.nan, 1.0], [2.0, np.nan])
    assert (row.tolist(), inside.tolist()) == ([-1, -1], [False, False])


def test_a_million_targets_of_one_field() -> None:
    rng = np.random.default_rng(7)
    targets = (80 + rng.normal(0, 3, 1_000_000)) % 360, -69 + rng.normal(0, 1, 1_000_000)
    index = index_targets(*targets, np.full(1_000_000, 2 / 3600))
    points = 80 + rng.normal(0, 4, 4), -69 + rng.normal(0, 2, 4)
    row, apart, inside = match(index, *points)
    least, _, reached, nearest = brute(targets, np.full(1_000_000, 2 / 3600), points, 1.0)
    np.testing.assert_array_equal(row, nearest)
    np.testing.assert_allclose(apart[row >= 0], least[row >= 0], rtol=0, atol=1e-3 * MAS)
    np.testing.assert_array_equal(inside, reached)
    assert sorted(index.row.tolist()) == list(range(1_000_000))
