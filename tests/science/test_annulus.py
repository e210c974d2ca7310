"""Annuli against closed forms."""

from __future__ import annotations

from statistics import NormalDist

import healpy
import numpy as np
import pytest

from broker.errors import SkyMapError
from broker.science import sky
from broker.science.annulus import from_annulus
from broker.science.skymap import area, levels_at


@pytest.mark.parametrize(("radius", "half", "sigmas"), [(60, 2.0, 3), (30, 0.2, 1), (90, 0.3, 3), (4, 1.0, 3), (170, 1.0, 1)])
def test_area_and_total_of_an_annulus(radius: float, half: float, sigmas: float) -> None:
    found = from_annulus(123.0, -45.0, radius, half, sigmas)
    across = 2 * NormalDist().inv_cdf(0.95) * half / sigmas
    expected = 360.0 * np.sin(np.radians(radius)) * across
    assert area(found, 0.9) == pytest.approx(expected, rel=0.01)
    assert found.prob.sum() == pytest.approx(1.0)
    assert int((found.stop - found.start).sum()) == sky.NPIX29


def test_levels_across_an_annulus() -> None:
    found = from_annulus(0.0, 90.0, 40.0, 3.0, 1.0)
    offset = np.array([0.0, 2.0, 3.0, 6.0, -3.0])
    level, _ = levels_at(found, sky.radec_to_hpx(np.full(5, 77.0), 50.0 + offset))
    np.testing.assert_allclose(level, [0.0, 0.495, 0.683, 0.954, 0.683], atol=0.04)


def test_a_thin_long_annulus_has_no_more_cells_than_are_allowed() -> None:
    found = from_annulus(10.0, 10.0, 90.0, 1e-4)
    assert found.start.size < 4_000_000
    lon, lat = healpy.pix2ang(1 << sky.ORDER, (found.start + found.stop) // 2, nest=True, lonlat=True)
    near = np.abs(sky.separation(10.0, 10.0, lon, lat) - 90.0) < 0.01
    assert found.prob[near].sum() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "given", [(0, 91, 10, 1, 3), (0, 0, 0, 1, 3), (0, 0, 181, 1, 3), (0, 0, 10, 0, 3), (0, 0, 10, 1, 0), (np.nan, 0, 10, 1, 3)]
)
def test_impossible_annuli_are_refused(given: tuple[float, float, float, float, float]) -> None:
    with pytest.raises(SkyMapError, match="annulus"):
        from_annulus(*given)
