"""Positions, separations and cones against astropy and against brute force."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from broker.science import sky

RNG_SEED = 20260801


def uniform(n: int, seed: int = RNG_SEED) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def test_index_names_the_cell_mocpy_finds() -> None:
    ra, dec = uniform(200)
    for lon, lat, index in zip(ra, dec, sky.radec_to_hpx(ra, dec), strict=True):
        cell = MOC.from_depth29_ranges(29, np.array([[index, index + 1]], np.uint64))
        assert cell.contains_lonlat(lon * u.deg, lat * u.deg).all()


def test_right_ascension_wraps() -> None:
    ra, dec = uniform(50)
    np.testing.assert_array_equal(sky.radec_to_hpx(ra - 360.0, dec), sky.radec_to_hpx(ra, dec))
    assert sky.radec_to_hpx(360.0, 10.0) == sky.radec_to_hpx(0.0, 10.0)


def test_no_index_off_the_sphere() -> None:
    ra = [10.0, np.nan, 10.0, np.inf, 10.0]
    dec = [20.0, 20.0, 90.5, 0.0, np.nan]
    got = sky.radec_to_hpx(ra, dec)
    assert got[0] >= 0
    assert (got[1:] == -1).all()
    assert sky.radec_to_hpx([], []).shape == (0,)


def test_separation_equals_astropy() -> None:
    ra1, dec1 = uniform(1000, 1)
    ra2, dec2 = uniform(1000, 2)
    ra2[:300] = ra1[:300] + 1e-6
    dec2[:300] = dec1[:300]
    ra2[300:400], dec2[300:400] = ra1[300:400] + 180.0, -dec1[300:400]
    expected = SkyCoord(ra1, dec1, unit="deg").separation(SkyCoord(ra2, dec2, unit="deg")).deg
    np.testing.assert_allclose(sky.separation(ra1, dec1, ra2, dec2), expected, rtol=0, atol=1e-12)


def test_separation_of_poles() -> None:
    assert sky.separation(0, 90, 123, -90) == pytest.approx(180.0)
    assert sky.separation(0, 90, 123, 90) == pytest.approx(0.0, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    ra=st.floats(0, 360),
    dec=st.floats(-90, 90),
    log_radius=st.floats(-6, 2.25),
    angle=st.floats(0, 360),
    inside=st.floats(0, 1),
)
def test_cone_ranges_hold_every_point_of_the_cone(
    ra: float, dec: float, log_radius: float, angle: float, inside: float
) -> None:
    radius = min(10.0**log_radius, 180.0)
    ranges = sky.cone_ranges(ra, dec, radius)
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert (ranges[1:, 0] > ranges[:-1, 1]).all()
    point = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.deg, inside * radius * u.deg)
    index = int(sky.radec_to_hpx(point.ra.deg, point.dec.deg))
    assert ((ranges[:, 0] <= index) & (index < ranges[:, 1])).any()


@pytest.mark.parametrize("radius", [0.001, 0.5, 20.0, 120.0])
def test_cone_ranges_are_tight_and_few(radius: float) -> None:
    ranges = sky.cone_ranges(83.6, 22.0, radius)
    area = float((ranges[:, 1] - ranges[:, 0]).sum()) * sky.CELL_AREA
    cap = 2 * np.pi * (1 - np.cos(np.radians(radius)))
    assert cap <= area < 2.2 * cap
    assert len(ranges) < 100


def test_cone_of_no_radius_is_a_cell_and_of_all_the_sky_is_one_range() -> None:
    index = sky.radec_to_hpx(83.6, 22.0)
    ranges = sky.cone_ranges(83.6, 22.0, 0.0)
    assert ((ranges[:, 0] <= index) & (index < ranges[:, 1])).any()
    assert sky.cone_ranges(0, 0, 180.0).tolist() == [[0, sky.NPIX29]]


@pytest.mark.parametrize(("ra", "dec", "radius"), [(0, 91, 1), (np.nan, 0, 1), (0, 0, -1), (0, 0, np.nan)])
def test_impossible_cones_are_refused(ra: float, dec: float, radius: float) -> None:
    with pytest.raises(ValueError, match="no cone"):
        sky.cone_ranges(ra, dec, radius)


def test_ranges_that_touch_or_overlap_are_joined() -> None:
    start = np.array([10, 0, 5, 30, 31], np.int64)
    stop = np.array([12, 5, 8, 40, 33], np.int64)
    assert sky.merge_ranges(start, stop).tolist() == [[0, 8], [10, 12], [30, 40]]
    assert sky.merge_ranges(start[:0], stop[:0]).shape == (0, 2)
