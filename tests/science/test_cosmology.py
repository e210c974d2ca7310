"""Redshifts as distances, held against astropy."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.cosmology import Planck18

from broker.science.cosmology import luminosity_distance


def test_as_astropy_has_it() -> None:
    z = np.concatenate([np.geomspace(1e-6, 20.0, 300), [0.0224, 1.0]])
    assert luminosity_distance(z) == pytest.approx(Planck18.luminosity_distance(z).value, rel=1e-5)


def test_what_is_no_redshift_has_no_distance() -> None:
    assert np.isnan(luminosity_distance([0.0, -0.001, -9.0, 999.0, np.nan])).all()
