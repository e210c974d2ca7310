"""False alarm rates of coincidences, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from broker.science.coincidence import YEAR, publishable, space_time, targeted, untargeted


def test_untargeted() -> None:
    # 6 s, 325 bursts a year, one false alarm a month: 6 * 325 / 31557600 / 2592000
    assert untargeted((-1.0, 5.0), 325 / YEAR, 1 / (30 * 86_400)) == pytest.approx(2.383910e-11, rel=1e-6)


def test_targeted() -> None:
    # 12 s, 1e-5 and 1e-6 Hz, thresholds 1e-4 and 1.851851851e-4: z 1.2e-10, zmax 2.2222222e-7, 1 - ln(5.4e-4) = 8.523941
    assert targeted((-1.0, 11.0), 1e-5, 1e-6, (1e-4, 2 * 8 / 86_400)) == pytest.approx(1.2e-10 * 8.523941, rel=1e-6)


def test_targeted_ends_at_its_thresholds() -> None:
    limit = targeted((0.0, 10.0), 1e-4, 1e-4, (1e-4, 1e-4))
    assert limit == pytest.approx(1e-7)
    assert targeted((0.0, 10.0), 1.0, 1.0, (1e-4, 1e-4)) == limit
    assert targeted((0.0, 10.0), 0.0, 1e-4, (1e-4, 1e-4)) == 0.0
    rates = [targeted((0.0, 10.0), 10.0**-power, 1e-4, (1e-4, 1e-4)) for power in range(4, 12)]
    assert rates == sorted(rates, reverse=True)


def test_space_time() -> None:
    assert space_time(1e-9, 20.0) == pytest.approx(5e-11)
    assert space_time(1e-9, 0.0) is None


def test_publishable_counts_the_trials() -> None:
    month = 1 / (30 * 86_400)
    assert publishable(month / 42, 7, month)
    assert not publishable(month / 41, 7, month)
    assert math.isfinite(month)
