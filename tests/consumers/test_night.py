"""Altitudes, nights, Sun and Moon, held against astropy and astroplan."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body, get_sun
from astropy.time import Time, TimeDelta
from astropy.utils import iers

from consumers import night, sites
from consumers.visibility import look

SITES = ("palomar", "paranal", "lapalma", "sso", "mjo", "subaru", "tromso=18.95,69.65,100")
SEASONS = ("2026-01-05", "2026-03-21", "2026-06-20", "2026-09-23", "2026-11-21")
TARGETS = ((83.63, 22.01), (197.45, -23.38), (10.68, 41.27), (266.4, -29.0), (0.0, -75.0), (240.0, 80.0))


@pytest.fixture(autouse=True)
def nothing_is_fetched() -> Iterator[None]:
    with (
        iers.conf.set_temp("auto_download", value=False),
        iers.conf.set_temp("iers_degraded_accuracy", "ignore"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # astropy and astroplan have theirs, of times after their tables
        yield


def place(name: str) -> tuple[sites.Site, EarthLocation]:
    site = sites.find(name)
    return site, EarthLocation.from_geodetic(site.longitude * u.deg, site.latitude * u.deg, site.height * u.m)


@pytest.mark.parametrize("name", SITES)
def test_altitudes_are_astropys(name: str):
    site, location = place(name)
    times = Time("2026-01-01") + np.linspace(0.0, 365.0, 400) * u.day
    frame = AltAz(obstime=times, location=location)
    moon = get_body("moon", times, location).transform_to(frame)
    for ra, dec in TARGETS:
        target = SkyCoord(ra * u.deg, dec * u.deg).transform_to(frame)
        assert night.altitude(site, ra, dec, times) == pytest.approx(target.alt.deg, abs=10 / 3600)
        assert night.moon_separation(site, ra, dec, times) == pytest.approx(moon.separation(target).deg, abs=20 / 3600)
    assert night.sun_altitude(site, times) == pytest.approx(get_sun(times).transform_to(frame).alt.deg, abs=10 / 3600)
    assert night.moon_altitude(site, times) == pytest.approx(moon.alt.deg, abs=20 / 3600)


def test_shapes_are_broadcast():
    site = sites.find("palomar")
    times = Time("2026-11-21") + np.linspace(0.0, 1.0, 7) * u.day
    ra, dec = np.array([10.0, 20.0, 30.0]), np.array([-5.0, 0.0, 5.0])
    many = night.altitude(site, ra[:, None], dec[:, None], times)
    assert many.shape == night.moon_separation(site, ra[:, None], dec[:, None], times).shape == (3, 7)
    assert many[1] == pytest.approx(night.altitude(site, 20.0, 0.0, times))
    assert night.altitude(site, ra, dec, times[2]) == pytest.approx(many[:, 2])
    assert np.shape(night.altitude(site, 20.0, 0.0, times[0])) == ()


def test_the_moon_is_where_astropy_has_it():
    site, location = place("sso")
    times = Time("2026-02-01") + np.linspace(0.0, 29.0, 60) * u.day
    found = SkyCoord(*(value * u.deg for value in night.moon_position(site, times)))
    moon = get_body("moon", times, location).cartesian.xyz.value
    vectors = moon / np.linalg.norm(moon, axis=0)
    assert np.degrees(np.arccos(np.clip((vectors * found.cartesian.xyz.value).sum(axis=0), -1, 1))).max() < 20 / 3600


def test_illumination_is_astroplans():
    from astroplan import moon_illumination

    times = Time("2026-01-01") + np.linspace(0.0, 60.0, 200) * u.day
    assert night.moon_illumination(times) == pytest.approx(moon_illumination(times), abs=1e-3)


def test_airmass_is_the_secant_and_infinite_below_the_horizon():
    found = night.airmass([90.0, 30.0, 0.0, -10.0])
    assert found[:2] == pytest.approx([1.0, 2.0])
    assert np.isinf(found[2:]).all()


@pytest.mark.parametrize("date", SEASONS)
@pytest.mark.parametrize("name", SITES)
def test_nights_are_astroplans_to_a_minute(name: str, date: str):
    from astroplan import Observer

    site, location = place(name)
    noon, following = night.evening(site, date)
    found = night.dark(site, (noon, following))
    observer = Observer(location=location)
    dusk = observer.twilight_evening_astronomical(noon, which="next", n_grid_points=200)
    dawn = observer.twilight_morning_astronomical(noon, which="next", n_grid_points=200)
    if found is None:  # no astronomical night near midsummer in the north
        assert np.ma.is_masked(dusk.mjd) or dusk > following
        assert get_sun(noon + 0.5 * u.day).transform_to(AltAz(obstime=noon + 0.5 * u.day, location=location)).alt.deg > -18
        return
    assert abs((found[0] - dusk).sec) < 60
    assert abs((found[1] - dawn).sec) < 60


@pytest.mark.parametrize("date", SEASONS[::2])
@pytest.mark.parametrize("name", SITES[:4])
def test_rise_and_set_are_astroplans_to_a_minute(name: str, date: str):
    from astroplan import FixedTarget, Observer

    site, location = place(name)
    noon, following = night.evening(site, date)
    observer = Observer(location=location)
    compared = 0
    for ra, dec in TARGETS:
        target = FixedTarget(SkyCoord(ra * u.deg, dec * u.deg))
        windows = night.windows(lambda times, at=(ra, dec): night.altitude(site, *at, times), noon, following, 30.0)
        rise = observer.target_rise_time(noon, target, which="next", horizon=30 * u.deg, n_grid_points=200)
        set_ = observer.target_set_time(noon, target, which="next", horizon=30 * u.deg, n_grid_points=200)
        rises = [start for start, _ in windows if start > noon]
        sets = [end for _, end in windows if end < following]
        for ours, theirs in ((rises, rise), (sets, set_)):
            if np.ma.is_masked(theirs.mjd) or theirs >= following - 2 * u.min:
                continue
            assert min(abs((one - theirs).sec) for one in ours) < 60
            compared += 1
    assert compared >= 4


@pytest.mark.parametrize("date", SEASONS[::2])
@pytest.mark.parametrize("name", SITES[:4])
def test_a_target_stands_highest_when_astroplan_has_its_transit_to_a_minute(name: str, date: str):
    from astroplan import FixedTarget, Observer

    site, location = place(name)
    noon, following = night.evening(site, date)
    dark = night.dark(site, (noon, following))
    assert dark is not None
    observer = Observer(location=location)
    compared = 0
    for ra in np.arange(7.5, 360.0, 45.0).tolist():
        for dec in (-35.0, 15.0, 50.0):
            target = FixedTarget(SkyCoord(ra * u.deg, dec * u.deg))
            transit = observer.target_meridian_transit_time(noon, target, which="next", n_grid_points=200)
            if not dark[0] + 2 * u.min < transit < dark[1] - 2 * u.min:
                continue
            found = look.sight(site, (ra, dec), dark, -5.0)
            assert found.best is not None
            assert abs((found.best - transit).sec) < 60
            told = found.document()["best"]
            if told is not None:  # of what is up
                assert abs((Time(told[:-1]) - transit).sec) < 61
            compared += 1
    assert compared >= 3


def test_tonight_is_the_night_under_way_else_the_next():
    site = sites.find("palomar")
    noon, following = night.evening(site, "2026-11-21")
    dark = night.dark(site, (noon, following))
    assert dark is not None
    for when in (noon + TimeDelta(60, format="sec"), dark[0] - 1 * u.hour, dark[0] + 1 * u.hour, dark[1] - 1 * u.min):
        found = night.tonight(site, when)
        assert found is not None
        assert abs((found[0] - dark[0]).sec) < 1
    after = night.tonight(site, dark[1] + 1 * u.min)
    assert after is not None
    assert 23.9 < (after[0] - dark[0]).to_value("hour") < 24.1


def test_polar_day_has_no_night_and_polar_night_no_end():
    pole = sites.find("south_pole")
    assert night.tonight(pole, Time("2026-12-21")) is None
    found = night.tonight(pole, Time("2026-06-21T03:00:00"))
    assert found is not None
    assert (found[1] - found[0]).to_value("hour") == pytest.approx(24.0)


def test_what_only_just_reaches_the_limit_is_seen():
    """A target that stands a hair above the limit for two minutes, between the instants that are looked at."""
    start = Time("2026-11-21T00:00:00")
    top = start + TimeDelta(5000.0 + 137.0, format="sec")

    def height(times: Time) -> np.ndarray:
        return 30.0 - ((times - top).sec / 60.0) ** 2 * 1e-3 + 1e-3

    found = night.windows(height, start, start + 0.2 * u.day, 30.0)
    assert len(found) == 1
    assert (found[0][1] - found[0][0]).sec == pytest.approx(120.0, abs=2.0)


def test_windows_that_are_open_at_the_ends():
    start, end = Time("2026-11-21T00:00:00"), Time("2026-11-21T06:00:00")
    assert [len(night.windows(lambda times, up=up: np.full(times.shape, up), start, end, 0.0)) for up in (1.0, -1.0)] == [1, 0]
    found = night.windows(lambda times: np.cos((times - start).sec / 21600.0 * 2 * np.pi), start, end, 0.0)
    assert [(one - start).sec for pair in found for one in pair] == pytest.approx([0.0, 5400.0, 16200.0, 21600.0], abs=1.0)
