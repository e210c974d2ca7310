"""Joint false-alarm rates, by hand and as ligo-raven has them."""

from __future__ import annotations

import math

import pytest

from broker.science.coincidence import per_year, publishable, space_time, targeted, untargeted

DAY = 86_400.0

# What ligo.raven.search.coinc_far of ligo-raven 3.3 (Python 3.11, numpy 2.4.6) returns for the same numbers.
RAVEN_UNTARGETED = [
    # length of the window, events a year, far of the GW event, temporal far
    (6.0, 325.0, 9.1e-14, 5.626902587519026e-18),
    (6.0, 310.0, 1e-6, 5.898021308980213e-11),  # its own default rate
    (660.0, 325.0, 1e-8, 6.801750380517504e-11),
    (12.0, 390.0, 1e-6, 1.4840182648401825e-10),
]
RAVEN_TARGETED = [
    # window, GW, burst, largest GW, largest burst, temporal far
    (12.0, 1e-6, 1e-5, 16 / DAY, 1e-4, 1.0228729702087144e-09),  # Fermi
    (30.0, 3e-7, 2e-4, 16 / DAY, 1e-3, 1.62625806759095e-08),  # Swift
]


@pytest.mark.parametrize(("window", "rate", "far", "expected"), RAVEN_UNTARGETED)
def test_untargeted_as_raven(window: float, rate: float, far: float, expected: float) -> None:
    assert untargeted(window, per_year(rate), far) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("numbers", RAVEN_TARGETED)
def test_targeted_as_raven(numbers: tuple[float, ...]) -> None:
    *given, expected = numbers
    assert targeted(*given) == pytest.approx(expected, rel=1e-14)


def test_by_hand() -> None:
    assert untargeted(10.0, per_year(365.0), 8.64) == pytest.approx(1e-3)  # one a day
    assert targeted(1.0, 1e-3, 1e-3, 1e-3 * math.e, 1e-3) == pytest.approx(2e-6)  # z (1 - ln(1 / e))
    assert space_time(6e-9, 3.0) == pytest.approx(2e-9)


def test_a_targeted_rate_grows_up_to_the_search_s_largest_and_stays() -> None:
    rates = [targeted(30.0, far, 1e-4, 1e-4, 1e-3) for far in (0.0, 1e-12, 1e-8, 1e-5, 1e-4, 1e-3, 1e-2)]
    assert rates == sorted(rates)
    assert rates[0] == 0.0
    assert rates[-1] == rates[-2] == pytest.approx(30.0 * 1e-4 * 1e-3)


def test_maps_that_do_not_overlap_have_no_rate() -> None:
    assert space_time(1e-9, 0.0) is None
    assert space_time(1e-9, 1e-320) is None


@pytest.mark.parametrize(
    ("far", "trials", "threshold", "expected"),
    [
        (9e-9, 7, 1 / (30 * DAY), True),  # 42 x 9e-9 = 3.78e-7 <= 3.86e-7
        (9.2e-9, 7, 1 / (30 * DAY), False),
        (5e-9, 3, 1 / (365 * DAY), True),  # 6 x 5e-9 = 3e-8 <= 3.17e-8
        (None, 7, 1.0, False),
        (-1.0, 7, 1.0, False),
    ],
)
def test_what_may_be_published(far: float | None, trials: float, threshold: float, expected: bool) -> None:
    assert publishable(far, trials, threshold) is expected
