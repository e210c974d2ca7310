"""GCN Classic's text notices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.decode.gcn_text import parse_text, read_lines
from broker.decode.notice import Notice
from broker.errors import DecodeError

FERMI = """TITLE:           GCN/FERMI NOTICE
NOTICE_DATE:     Tue 18 Apr 23 05:29:21 UT
NOTICE_TYPE:     Fermi-GBM Flight Position
RECORD_NUM:      46
TRIGGER_NUM:     703488537
GRB_RA:           40.117d {+02h 40m 28s} (J2000),
                  40.426d {+02h 41m 42s} (current),
                  39.454d {+02h 37m 49s} (1950)
GRB_DEC:          -7.267d {-07d 16' 00"} (J2000),
                  -7.366d {-07d 21' 56"} (current),
                  -7.053d {-07d 03' 10"} (1950)
GRB_ERROR:       34.97 [deg radius, statistical plus systematic]
GRB_INTEN:       52 [cnts/sec]
GRB_DATE:        20052 TJD;   108 DOY;   23/04/18
GRB_TIME:        19732.12 SOD {05:28:52.12} UT
SUN_POSTN:        26.11d {+01h 44m 27s}  +10.74d {+10d 44' 34"}
COMMENTS:        Fermi-GBM Flight-calculated Coordinates.
COMMENTS:        This trigger occurred at ...
"""
ICECUBE = """TITLE:            GCN/AMON NOTICE
NOTICE_DATE:      Wed 23 Aug 23 08:27:06 UT
NOTICE_TYPE:      ICECUBE Astrotrack Gold
STREAM:           24
RUN_NUM:          138283
EVENT_NUM:        14780365
SRC_RA:           19.4330d {+01h 17m 44s} (J2000),
                  19.7270d {+01h 18m 54s} (current)
SRC_DEC:          -11.4977d {-11d 29' 51"} (J2000)
SRC_ERROR:        30.80 [arcmin radius, stat-only, 90% containment]
SRC_ERROR50:      12.00 [arcmin radius, stat-only, 50% containment]
DISCOVERY_DATE:   20179 TJD;   235 DOY;   23/08/23 (yy/mm/dd)
DISCOVERY_TIME:   30374 SOD {08:26:14.59} UT
REVISION:         1
ENERGY:           3.4127e+03 [TeV]
SIGNALNESS:       3.2938e-01 [dn]
FAR:              0.5131 [yr^-1]
"""


def read(text: str) -> Notice:
    return parse_text(text.encode())


def test_fermi() -> None:
    notice = read(FERMI)
    assert notice.native_id == "Fermi_GBM_Flight_Position:703488537:2023-04-18T05:29:21"
    assert notice.event_name == "Fermi 703488537"
    assert notice.time == datetime(2023, 4, 18, 5, 28, 52, 120_000, tzinfo=UTC)
    assert (notice.ra, notice.dec, notice.ra_dec_error) == (40.117, -7.267, 34.97)
    assert (notice.mission, notice.instrument, notice.messenger) == ("Fermi", "GBM", "EM")
    assert (notice.alert_type, notice.alert_tense) == ("update", "current")
    assert notice.fields["GRB_INTEN"] == 52.0
    assert notice.fields["TRIGGER_NUM"] == "703488537"


def test_icecube() -> None:
    notice = read(ICECUBE)
    assert notice.event_name == "IceCube 138283_14780365"
    assert notice.time == datetime(2023, 8, 23, 8, 26, 14, 590_000, tzinfo=UTC)  # the clock has the fraction
    assert (notice.ra, notice.dec, notice.containment_probability) == (19.4330, -11.4977, 0.9)
    assert notice.ra_dec_error == pytest.approx(30.8 / 60.0)
    assert (notice.messenger, notice.alert_type, notice.p_astro) == ("Neutrino", "update", 0.32938)
    assert notice.far == pytest.approx(0.5131 / 31_557_600)


def test_repeated_keys_and_continued_lines() -> None:
    lines = read_lines(FERMI.replace("\n", "\r\n").encode())
    assert lines["COMMENTS"].count("\n") == 1
    assert lines["GRB_RA"].endswith("(1950)")


def test_a_pointing_is_no_source() -> None:
    notice = read(
        "TITLE: GCN/SWIFT NOTICE\nNOTICE_DATE: Tue 18 Apr 23 05:29:21 UT\nNOTICE_TYPE: SWIFT Pointing Direction\n"
        "NEXT_POINT_RA: 40.117d {+02h 40m 28s} (J2000)\nNEXT_POINT_DEC: +7.267d {+07d 16' 00\"} (J2000)\nTARGET_NUM: 3\n"
    )
    assert notice.ra is None
    assert notice.fields["pointing.ra"] == 40.117
    assert notice.alert_type is None
    assert notice.time == datetime(2023, 4, 18, 5, 29, 21, tzinfo=UTC)
    assert "time of the message taken" in notice.deviations[0]


def test_dates_without_julian_day_and_tests_and_retractions() -> None:
    short = FERMI.replace("20052 TJD;   108 DOY;   ", "").replace("703488537", "99999")
    notice = read(short)
    assert notice.time == datetime(2023, 4, 18, 5, 28, 52, 120_000, tzinfo=UTC)
    assert (notice.event_name, notice.alert_tense) == (None, "test")
    assert read(FERMI.replace("Flight Position", "Retraction")).alert_type == "retraction"
    undefined = FERMI.replace("40.117d {+02h 40m 28s} (J2000),", "Undefined").replace("40.426d", "").replace("39.454d", "")
    assert read(undefined).ra is None


def test_without_a_type() -> None:
    with pytest.raises(DecodeError, match="no NOTICE_TYPE"):
        read("TITLE: GCN/FERMI NOTICE\n")


def test_an_endless_value_is_looked_into_only_at_its_beginning() -> None:
    assert read(f"NOTICE_TYPE: x\nCOMMENTS: {'y' * 5000}\n").fields["COMMENTS"] == "y" * 5000
    with pytest.raises(DecodeError, match="off the sphere"):
        read(f"NOTICE_TYPE: x\nGRB_RA: {'1' * 100_000}\nGRB_DEC: 5.0d (J2000)\n")


def test_a_radius_holds_what_the_instruments_radii_hold() -> None:
    assert parse_text(FERMI.encode()).containment_probability == 0.68
    swift = FERMI.replace("GCN/FERMI", "GCN/SWIFT").replace("Fermi-GBM Flight Position", "Swift-BAT GRB Position")
    assert parse_text(swift.encode()).containment_probability == 0.9
    stated = FERMI.replace("statistical plus systematic", "radius, 50% containment")
    assert parse_text(stated.encode()).containment_probability == 0.5


def test_a_number_that_sources_share_and_the_name_of_a_burst() -> None:
    weak = FERMI.replace("GCN/FERMI", "GCN/SWIFT").replace("Fermi-GBM Flight Position", "Swift-BAT Sub-sub-threshold Position")
    assert parse_text(weak.encode()).event_name == "Swift 703488537@40.1170-7.2670"
    page = (
        "LC_URL: http://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2023/bn230418229/quicklook/glg_lc_bn230418229.gif\n"
    )
    notice = parse_text((FERMI + page).encode())
    assert (notice.event_name, notice.names) == ("Fermi 703488537", ("bn230418229",))
