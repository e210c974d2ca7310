"""Moments of the distance against numerical integration."""

from __future__ import annotations

import numpy as np
import pytest

from broker.science import distance


def integrated(mu: float, sigma: float) -> tuple[float, float]:
    scale = sigma * max(1.0, sigma / abs(mu)) if mu < -3 * sigma else sigma
    top = max(mu, 0.0) + 14 * sigma if mu > -3 * sigma else 60 * sigma**2 / abs(mu)
    r = np.linspace(0, max(top, scale * 1e-3), 400_001)
    log = 2 * np.log(np.maximum(r, 1e-300)) - 0.5 * ((r - mu) / sigma) ** 2
    weight = np.exp(log - log.max())
    mean = np.average(r, weights=weight)
    return mean, np.sqrt(np.average((r - mean) ** 2, weights=weight))


@pytest.mark.parametrize("ratio", [30.0, 5.0, 1.0, 0.0, -1.0, -5.0, -12.0, -19.0, -21.0, -50.0, -400.0])
def test_moments_equal_the_integral(ratio: float) -> None:
    sigma = 37.0
    mean, std = distance.conditional_moments([ratio * sigma], [sigma])
    expected = integrated(ratio * sigma, sigma)
    assert mean[0] == pytest.approx(expected[0], rel=3e-4)
    assert std[0] == pytest.approx(expected[1], rel=2e-3)


def test_parameters_that_say_nothing_are_left_out() -> None:
    mu, sigma = np.array([100.0, np.inf, np.nan, 50.0, -1e300]), np.array([10.0, 1.0, 1.0, 0.0, 1.0])
    mean, std = distance.conditional_moments(mu, sigma)
    assert np.isfinite(mean).tolist() == [True, False, False, False, False]
    assert distance.marginal_moments(np.array([0.5, 0.2, 0.1, 0.1, 0.1]), mu, sigma) == pytest.approx((mean[0], std[0]))
    assert distance.marginal_moments([1.0], [np.inf], [1.0]) is None


def test_marginal_of_two_lines_of_sight() -> None:
    mean, std = distance.conditional_moments([100.0, 300.0], [1.0, 2.0])
    total = distance.marginal_moments([0.75, 0.25], [100.0, 300.0], [1.0, 2.0])
    assert total is not None
    expected = 0.75 * mean[0] + 0.25 * mean[1]
    spread = 0.75 * (std[0] ** 2 + (mean[0] - expected) ** 2) + 0.25 * (std[1] ** 2 + (mean[1] - expected) ** 2)
    assert total == pytest.approx((expected, np.sqrt(spread)))
