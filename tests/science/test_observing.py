"""The observer's sky, held against astropy."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body, get_sun
from astropy.time import Time
from astropy.utils import iers

from broker.science import observing
from broker.science.sites import SITES

ARCMINUTE = 1.0 / 60.0


@pytest.fixture(autouse=True)
def _nothing_fetched() -> None:
    iers.conf.auto_download = False
    iers.conf.iers_degraded_accuracy = "warn"


def given(number: int) -> tuple[np.ndarray, np.ndarray, SkyCoord]:
    rng = np.random.default_rng(number)
    mjd = np.repeat(rng.uniform(58_000, 60_600, 40), 5)
    ra, dec = rng.uniform(0, 360, mjd.size), np.degrees(np.arcsin(rng.uniform(-1, 1, mjd.size)))
    coord = SkyCoord(ra, dec, unit="deg")
    return mjd, coord.cartesian.xyz.value.T.copy(), coord


def test_sun_and_moon_to_an_arcminute() -> None:
    mjd, towards, coord = given(1)
    time = Time(mjd, format="mjd", scale="utc")
    for found, body in (
        (observing.sun_separation(mjd, towards), get_sun(time)),
        (observing.moon_separation(mjd, towards), get_body("moon", time)),
    ):
        seen = SkyCoord(body.ra, body.dec)  # as directions: the library would else move us to where they are
        expected = SkyCoord(coord.ra, coord.dec).separation(seen).deg
        assert np.abs(found - expected).max() < ARCMINUTE


@pytest.mark.parametrize("name", ["palomar", "rubin", "lapalma", "greenwich", "sso"])
def test_altitudes_to_an_arcminute(name: str) -> None:
    mjd, towards, coord = given(2)
    site = SITES[name]
    place = EarthLocation(lon=site.longitude * u.deg, lat=site.latitude * u.deg, height=site.height * u.m)
    expected = coord.transform_to(AltAz(obstime=Time(mjd, format="mjd", scale="utc"), location=place)).alt.deg
    found = observing.altitude(mjd, towards, site)
    assert np.abs(found - expected).max() < ARCMINUTE / 2


@pytest.mark.parametrize("lowest", [30.0, 60.0])
def test_visible_is_high_in_the_dark(lowest: float) -> None:
    """By astropy, every four minutes; those within half a degree of the limit are anybody's."""
    mjd, towards, coord = given(3)
    site = SITES["palomar"]
    place = EarthLocation(lon=site.longitude * u.deg, lat=site.latitude * u.deg, height=site.height * u.m)
    found = observing.visible(mjd, towards, site, lowest)
    highest = np.full(mjd.size, -90.0)
    for time in np.unique(mjd):
        rows = np.flatnonzero(mjd == time)
        frame = AltAz(obstime=Time(time + np.arange(0, 1, 1 / 360), format="mjd", scale="utc"), location=place)
        dark = get_sun(frame.obstime).transform_to(frame).alt.deg < observing.DARK
        for row in rows:
            highest[row] = coord[row].transform_to(frame).alt.deg[dark].max()
    sure = np.abs(highest - lowest) > 0.5
    assert sure.sum() > 150
    assert found[sure].tolist() == (highest[sure] >= lowest).tolist()
    assert 0 < found.sum() < found.size


def test_what_is_not_known_is_not() -> None:
    mjd, towards, _ = given(4)
    mjd[3] = np.nan
    assert np.isnan(observing.sun_separation(mjd, towards)[3])
    assert np.isnan(observing.altitude(mjd, towards, SITES["rubin"])[3])
    assert not observing.visible(mjd, towards, SITES["rubin"], -90.0)[3]
    assert np.isfinite(np.delete(observing.altitude(mjd, towards, SITES["rubin"]), 3)).all()
