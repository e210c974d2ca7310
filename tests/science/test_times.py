"""Times against astropy."""

import numpy as np
import pytest
from astropy.time import Time

from broker.science.times import jd_to_datetime, mjd_to_datetime, to_micros, to_mjd_utc

DAYS = np.random.default_rng(5).uniform(41_500.0, 61_900.0, 300)
# ERFA's UTC days with a leap second are 86401 s long, which no survey's JD is; 1983-06-30 was one.
DAYS = DAYS[np.floor(DAYS) != 45_515]


@pytest.mark.parametrize("scale", ["utc", "tai", "tt", "tdb"])
def test_mjd_is_astropys(scale):
    expected = Time(DAYS, format="mjd", scale=scale).utc.datetime64.astype("datetime64[us]").astype(np.int64)
    micros, good = to_micros(DAYS, "mjd", scale)
    assert good.all()
    # The short series for TDB is good to tens of microseconds; everything else to the rounding of a double.
    assert np.abs(micros - expected).max() <= (40 if scale == "tdb" else 2)


def test_jd_is_astropys():
    days = DAYS + 2_400_000.5
    expected = Time(days, format="jd", scale="utc").datetime64.astype("datetime64[us]")
    assert np.abs((jd_to_datetime(days) - expected).astype(np.int64)).max() <= 2


def test_leap_second_of_2016():
    # 2017-01-01T00:00:00 UTC is TAI 00:00:37; one second earlier in TAI is inside the leap second.
    day = 57_754.0
    after = mjd_to_datetime([day + 37 / 86_400], "tai")[0]
    before = mjd_to_datetime([day + 35 / 86_400], "tai")[0]
    assert abs(after - np.datetime64("2017-01-01T00:00:00", "us")) <= np.timedelta64(1, "us")
    assert abs(before - np.datetime64("2016-12-31T23:59:59", "us")) <= np.timedelta64(1, "us")


def test_what_is_no_time():
    values = [np.nan, np.inf, -np.inf, 1e300, -999.0, 60_000.0]
    micros, good = to_micros(values, "mjd", "tai")
    assert good.tolist() == [False, False, False, False, True, True]
    assert micros[:4].tolist() == [0, 0, 0, 0]
    assert np.isnat(mjd_to_datetime(values)).tolist() == [True, True, True, True, False, False]


def test_mjd_round_trip():
    assert np.abs(to_mjd_utc(DAYS, "mjd", "utc") - DAYS).max() < 2e-11
    assert np.isnan(to_mjd_utc([np.nan], "jd", "tai")).all()
