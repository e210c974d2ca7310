"""Features of light curves against a plain reading of their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.science.lightcurve import FEATURES, Current, History, features, features_of_band

G, R = 1, 2
Point = tuple[float, float, int, bool]


def arrays(curves: list[tuple[list[Point], Point]]) -> tuple[History, Current]:
    """Light curves given as earlier points and the present one: time, magnitude, band, positive."""
    points = [point for earlier, _ in curves for point in earlier]
    length = np.array([len(earlier) for earlier, _ in curves], np.int64)
    dtypes = (np.float64, np.float64, np.uint8, np.bool_)
    past, now = ([np.array([p[i] for p in rows], t) for i, t in enumerate(dtypes)] for rows in (points, [c for _, c in curves]))
    return History(np.cumsum(length) - length, length, *past), Current(*now)


def measured(curves: list[tuple[list[Point], Point]]) -> np.ndarray:
    """Features of light curves."""
    return features(*arrays(curves), g=G, r=R)


def named(earlier: list[Point], now: Point) -> dict[str, float]:
    return dict(zip(FEATURES, measured([(earlier, now)])[0], strict=True))


def test_a_riser() -> None:
    got = named([(90.0, 20.0, G, True), (98.0, 19.0, G, True), (99.5, 18.9, R, True)], (100.0, 18.0, G, True))
    assert got == pytest.approx({"n_det": 4, "age": 10, "since_last": 0.5, "peak_mag": 18.0, "rate": -0.5, "g_r": -0.9})


def test_a_fader_in_r() -> None:
    got = named([(99.0, 17.0, R, True), (99.2, 17.5, G, True)], (100.0, 18.0, R, True))
    assert got == pytest.approx({"n_det": 3, "age": 1, "since_last": 0.8, "peak_mag": 17.0, "rate": 1.0, "g_r": -0.5})


def test_the_first_detection() -> None:
    got = named([], (100.0, 18.0, G, True))
    assert got == pytest.approx(
        {"n_det": 1, "age": 0, "since_last": np.nan, "peak_mag": 18, "rate": np.nan, "g_r": np.nan}, nan_ok=True
    )


def test_a_pair_of_one_visit_makes_no_rate() -> None:
    got = named([(98.0, 19.0, G, True), (99.985, 18.2, G, True)], (100.0, 18.0, G, True))
    assert got["rate"] == pytest.approx(-0.5)
    assert got["since_last"] == pytest.approx(0.015)


def test_fainter_than_the_reference_is_counted_not_measured() -> None:
    got = named([(99.0, 15.0, G, False), (98.0, 19.0, G, True)], (100.0, 18.0, G, True))
    assert (got["n_det"], got["peak_mag"]) == (3, 18.0)
    assert got["rate"] == pytest.approx(-0.5)
    assert named([(99.0, 15.0, G, False)], (100.0, 16.0, G, False))["rate"] == pytest.approx(1.0)


def test_what_is_later_or_has_no_time_or_magnitude_is_left_out() -> None:
    got = named([(101.0, 10.0, G, True), (np.nan, 10.0, G, True), (99.0, np.nan, G, True)], (100.0, 18.0, G, True))
    assert (got["n_det"], got["age"], got["peak_mag"]) == (2, 1.0, 18.0)
    assert np.isnan(got["rate"])


def test_other_bands_have_no_colour() -> None:
    assert np.isnan(named([(99.9, 18.0, G, True), (99.9, 18.0, R, True)], (100.0, 18.0, 3, True))["g_r"])
    assert np.isnan(named([(98.9, 18.0, R, True)], (100.0, 18.0, G, True))["g_r"])


POINTS = st.tuples(st.floats(80, 101), st.floats(14, 22) | st.just(np.nan), st.integers(0, 3), st.booleans())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.lists(POINTS, max_size=8), POINTS), max_size=5))
def test_equals_a_plain_reading(curves: list[tuple[list[Point], Point]]) -> None:
    got = measured(curves)
    for row, (earlier, (now, mag, band, positive)) in zip(got, curves, strict=True):
        past = [p for p in earlier if p[0] <= now]
        alike = [p for p in past if p[3] == positive and np.isfinite(p[1])]
        assert row[0] == 1 + len(past)
        assert row[1] == pytest.approx(now - min([p[0] for p in past], default=now))
        assert row[2] == pytest.approx(now - max([p[0] for p in past], default=np.nan), nan_ok=True)
        assert row[3] == pytest.approx(np.fmin.reduce([mag, *(p[1] for p in alike)]), nan_ok=True)
        same = [p for p in alike if p[2] == band and now - p[0] >= 0.02]
        if same and np.isfinite(mag):
            rates = [(mag - p[1]) / (now - p[0]) for p in same if p[0] == max(q[0] for q in same)]
            assert min(abs(row[4] - rate) for rate in rates) < 1e-9
        else:
            assert np.isnan(row[4])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.lists(POINTS, max_size=8), POINTS), max_size=5), st.integers(0, 3))
def test_one_band_equals_a_plain_reading(curves: list[tuple[list[Point], Point]], wanted: int) -> None:
    history, current = arrays(curves)
    got, whole = features_of_band(history, current, wanted), features(history, current, g=G, r=R)
    for row, all_bands, (earlier, present) in zip(got, whole, curves, strict=True):
        now, _, band, positive = present
        past = [p for p in earlier if p[0] <= now and p[2] == wanted]
        assert row[0] == len(past) + (band == wanted)
        if band == wanted:
            assert row[1] == pytest.approx(all_bands[4], nan_ok=True)
            continue
        alike = [p for p in past if p[3] == positive and np.isfinite(p[1])]
        last = max(alike, key=lambda p: p[0], default=None)
        before = [p for p in alike if last is not None and last[0] - p[0] >= 0.02]
        if last is None or not before:
            assert np.isnan(row[1])
        elif len({p[0] for p in alike}) == len(alike):
            first = max(before, key=lambda p: p[0])
            assert row[1] == pytest.approx((last[1] - first[1]) / (last[0] - first[0]))
