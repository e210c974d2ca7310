from __future__ import annotations

from datetime import UTC, datetime

import astropy.units as u
import pytest
from astropy.coordinates import Angle
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from broker.api.cursor import decode, encode
from broker.api.params import angle_dec, angle_ra, instant
from broker.api.values import plain
from broker.errors import UsageError


@pytest.mark.parametrize("text", ["12:30:49.4", "12 30 49.4", "12h30m49.4s", "0:00:00", "23:59:59.99", "05:34"])
def test_right_ascension_reads_as_astropy_does(text: str) -> None:
    assert angle_ra(text) == pytest.approx(Angle(text, u.hourangle).degree, abs=1e-9)


@pytest.mark.parametrize("text", ["-00:30:00", "+12:23:28", "12d23m28s", "-89 59 59.9", "-45:30"])
def test_declination_reads_as_astropy_does(text: str) -> None:
    assert angle_dec(text) == pytest.approx(Angle(text, u.deg).degree, abs=1e-9)


def test_degrees_and_the_seam() -> None:
    assert angle_ra("187.5") == 187.5
    assert angle_ra("360") == 0
    assert angle_dec("-90") == -90


@pytest.mark.parametrize("text", ["", "nan", "inf", "361", "-1", "12:60:00", "25:00:00", "twelve", "1:2:3:4"])
def test_right_ascensions_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="ra"):
        angle_ra(text)


@pytest.mark.parametrize("text", ["", "nan", "90.1", "-91", "+95:00:00", "north"])
def test_declinations_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="dec"):
        angle_dec(text)


@pytest.mark.parametrize("mjd", [51544.0, 60422.5, 60310.123456])
def test_mjd_reads_as_astropy_does(mjd: float) -> None:
    expected = Time(mjd, format="mjd", scale="utc").to_datetime(UTC)
    assert abs((instant(str(mjd)) - expected).total_seconds()) < 2e-6


def test_iso_with_and_without_zone() -> None:
    noon = datetime(2024, 4, 22, 12, tzinfo=UTC)
    for text in ("2024-04-22T12:00:00Z", "2024-04-22 12:00", "2024-04-22T14:00:00+02:00", "2024-04-22T14:00:00 02:00"):
        assert instant(text) == noon


@pytest.mark.parametrize("text", ["yesterday", "nan", "-5", "1e9", "2024-13-01", "0001-01-01T00:00:00+10:00", ""])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="start"):
        instant(text, "start")


@given(st.recursive(st.none() | st.integers(-(2**63), 2**63) | st.text(), lambda inner: st.lists(inner, max_size=4)))
def test_tokens_come_back(value: object) -> None:
    assert decode(encode(value), "cursor") == value


@given(st.text(max_size=60))
def test_a_token_of_somebody_else_is_refused_or_read(text: str) -> None:
    told = "cursor"
    try:
        decode(text, "cursor")
    except UsageError as error:
        told = str(error)
    assert "cursor" in told


def test_ids_and_wide_integers_are_strings_whatever_their_size() -> None:
    shown = plain({"candid": 5, "diaObjectId": 0, "objectid": 2**60, "ndet": 7, "pid": 2**55, "rb": float("nan"), "x": b"\x00"})
    assert shown == {
        "candid": "5",
        "diaObjectId": "0",
        "objectid": str(2**60),
        "ndet": 7,
        "pid": str(2**55),
        "rb": None,
        "x": "AA==",
    }
