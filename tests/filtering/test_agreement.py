"""Functions of the sky, as filters call them, held against astropy and astroplan; nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import astropy.units as u
import numpy as np
import polars as pl
import pytest
from astroplan import AltitudeConstraint, AtNightConstraint, FixedTarget, Observer, is_observable
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.time import Time
from astropy.utils import iers

from broker.filtering.expression import compile_output
from broker.science.sites import SITES

MILLIARCSECOND = 1.0 / 3.6e6
ARCMINUTE = 1.0 / 60.0
EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_fetched() -> Iterator[None]:
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "warn"):
        yield


def values(sql: str, ra: np.ndarray, dec: np.ndarray, mjd: np.ndarray | float = 60_000.0) -> np.ndarray:
    times = [EPOCH + timedelta(days=float(day)) for day in np.broadcast_to(mjd, ra.shape)]
    frame = pl.DataFrame({"ra": ra, "dec": dec, "time": times}, schema_overrides={"time": pl.Datetime("us", "UTC")})
    out = compile_output(sql, dict(frame.schema))
    return frame.lazy().select(pl.int_range(pl.len()).alias(""), out.expr.alias("x")).collect()["x"].to_numpy()


def somewhere(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))


def place_of(name: str) -> EarthLocation:
    site = SITES[name]
    return EarthLocation(lon=site.longitude * u.deg, lat=site.latitude * u.deg, height=site.height * u.m)


@pytest.mark.parametrize(
    ("ra0", "dec0"), [(0.0, 90.0), (0.0, -90.0), (123.4, 90.0), (0.0, 0.0), (359.9999999, 45.0), (180.0, -45.0), (266.4, -28.9)]
)
def test_separations_everywhere(ra0: float, dec0: float) -> None:
    """From the poles, across the meridian, to the very place, to its antipode and next to both."""
    ra, dec = somewhere(300, 7)
    tiny = np.array([0.0, 1e-9, 1e-6, 1e-3])
    ra = np.concatenate([ra, [ra0, (ra0 + 180) % 360, 0, 200], np.full(4, ra0), np.full(4, (ra0 + 180) % 360)])
    dec = np.concatenate([dec, [dec0, -dec0, 90, -90], np.clip(dec0 - tiny, -90, 90), np.clip(tiny - dec0, -90, 90)])
    truth = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(ra0, dec0, unit="deg")).deg
    assert np.abs(values(f"sep({ra0!r}, {dec0!r})", ra, dec) - truth).max() < MILLIARCSECOND
    assert np.abs(values(f"sep({ra0!r}, {dec0!r}, ra, dec)", ra, dec) - truth).max() < MILLIARCSECOND


@pytest.mark.parametrize("body", ["sun", "moon"])
def test_sun_and_moon(body: str) -> None:
    ra, dec = somewhere(300, 8)
    mjd = np.random.default_rng(9).uniform(57_754, 61_500, ra.size)  # 2017 to 2027
    seen = get_body(body, Time(mjd, format="mjd", scale="utc"))
    truth = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(seen.ra, seen.dec)).deg  # directions, not places
    assert np.abs(values(f"{body}_sep()", ra, dec, mjd) - truth).max() < ARCMINUTE


@pytest.mark.parametrize("name", ["palomar", "rubin", "keck"])
def test_altitudes(name: str) -> None:
    ra, dec = somewhere(200, 10)
    ra, dec = np.append(ra, [0, 0]), np.append(dec, [90, -90])
    mjd = np.random.default_rng(11).uniform(57_754, 60_600, ra.size)
    frame = AltAz(obstime=Time(mjd, format="mjd", scale="utc"), location=place_of(name))
    truth = SkyCoord(ra, dec, unit="deg").transform_to(frame).alt.deg
    assert np.abs(values(f"altitude('{name}')", ra, dec, mjd) - truth).max() < ARCMINUTE


@pytest.mark.parametrize(("name", "lowest"), [("palomar", 30.0), ("rubin", 45.0), ("lapalma", 60.0)])
def test_visible_tonight_is_observable_to_astroplan(name: str, lowest: float) -> None:
    """Every four minutes of the 24 hours; what comes within half a degree of the limit is anybody's."""
    ra, dec = somewhere(120, 12)
    observer = Observer(location=place_of(name))
    targets = [FixedTarget(SkyCoord(a, d, unit="deg")) for a, d in zip(ra, dec, strict=True)]
    for mjd in (59_015.3, 60_310.9):  # midsummer, midwinter
        begin = Time(mjd, format="mjd", scale="utc")
        limits = [AltitudeConstraint(min=lowest * u.deg), AtNightConstraint.twilight_nautical()]
        truth = is_observable(limits, observer, targets, time_range=[begin, begin + 1 * u.day], time_grid_resolution=4 * u.min)
        loose, tight = (values(f"visible_tonight('{name}', {lowest + by})", ra, dec, mjd) for by in (-0.5, 0.5))
        sure = loose == tight
        found = values(f"visible_tonight('{name}', {lowest})", ra, dec, mjd)
        assert sure.sum() > 100
        assert found[sure].tolist() == truth[sure].tolist()
        assert 0 < truth.sum() < truth.size
