"""Bare FITS maps: named, dated, and told from what is no map."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from broker.decode.skymap_file import parse_skymap_file
from broker.errors import DecodeError


def fits_file(column: str = "PROB", rows: int = 12, **cards: Any) -> bytes:
    table = fits.BinTableHDU.from_columns([fits.Column(column, "D", array=np.full(rows, 1.0 / rows))])
    table.header.update({"PIXTYPE": "HEALPIX", "ORDERING": "NESTED", **cards})
    stream = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(stream)
    return stream.getvalue()


LVK = {"OBJECT": "S260523ab", "DATE-OBS": "2026-05-23T22:22:46.654437", "ORIGIN": "LIGO/Virgo/KAGRA", "INSTRUME": "H1,L1"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_map_plain_and_gzipped(pack: Any) -> None:
    data = pack(fits_file(**LVK))
    notice = parse_skymap_file(data)
    assert notice.event_name == "S260523ab"
    assert notice.native_id.startswith("S260523ab-")
    assert notice.time == datetime(2026, 5, 23, 22, 22, 46, 654_437, tzinfo=UTC)
    assert (notice.mission, notice.messenger, notice.instrument) == ("LVK", "GW", "H1,L1")
    assert notice.skymap == data


@pytest.mark.parametrize("column", ["PROB", "PROBABILITY", "PROBDENSITY", "T"])
def test_columns_of_probability(column: str) -> None:
    assert parse_skymap_file(fits_file(column)).skymap


def test_names_that_are_none_and_the_file_name_instead() -> None:
    for name in ("", "0", "FULLSKY"):
        assert parse_skymap_file(fits_file(OBJECT=name)).event_name is None
    origin = "file:maps.tar#x/S190814bv_5_LALInference.v1.fits.gz"
    assert parse_skymap_file(fits_file(), origin).event_name == "S190814bv"
    assert parse_skymap_file(fits_file(), "file:glg_healpix_all_bn180116026.fit").event_name is None


def test_mjd_where_there_is_no_date() -> None:
    time = parse_skymap_file(fits_file(**{"MJD-OBS": 58754.5})).time
    assert time == datetime(2019, 9, 28, 12, tzinfo=UTC)


def test_fermi_trigger_time_before_its_date() -> None:
    cards = {"TRIGTIME": 537755817.807014, "MJDREFI": 51910, "MJDREFF": "7.428703703703703e-4", "TIMESYS": "TT"}
    notice = parse_skymap_file(fits_file("PROBABILITY", **cards, **{"DATE-OBS": "2018-01-16T00:34:43"}, TELESCOP="GLAST"))
    assert notice.time is not None
    assert abs(notice.time - datetime(2018, 1, 16, 0, 36, 52, 807_000, tzinfo=UTC)) < timedelta(milliseconds=1)
    assert "TRIGTIME" in notice.deviations[0]
    assert notice.mission == "Fermi"


def test_icecube() -> None:
    cards = {
        "RUNID": 134244,
        "EVENTID": 34406854,
        "EVENTMJD": 59031.80895188753,
        "SENDER": "IceCube Collaboration",
        "OBJECT": "FULLSKY",
    }
    notice = parse_skymap_file(fits_file("T", **cards, RA=220.04, DEC=43.17))
    assert (notice.event_name, notice.ra, notice.dec) == ("IceCube 134244_34406854", 220.04, 43.17)


WHOLE = fits_file(rows=3000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (fits_file("UNIQ"), "coverage map"),
        (fits_file("FLUX"), "no column of probability"),
        (WHOLE[:20_000], "cut short"),
        (gzip.compress(WHOLE, mtime=0)[:-20], "cut short"),
        (gzip.compress(WHOLE, mtime=0)[:-8] + b"\0" * 8, "gzip is damaged"),
        (WHOLE[:4000], "header cut short"),
        (WHOLE[:2880], "without a table"),
        (b"SIMPLE  =  nonsense", "header cut short"),
        (gzip.compress(b"hello", mtime=0), "not a FITS file"),
    ],
)
def test_refusals(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        parse_skymap_file(data)


def test_real_files(data_dir: Path) -> None:
    maps = sorted((data_dir / "skymaps").glob("*.fit*"))
    assert len(maps) > 8
    for file in maps:
        notice = parse_skymap_file(file.read_bytes())
        header = fits.getheader(file, 1)
        assert notice.time is not None
        if "TRIGTIME" not in fits.getheader(file, 0) and "DATE-OBS" in header:
            assert notice.time == datetime.fromisoformat(header["DATE-OBS"]).replace(tzinfo=UTC)
        if str(header.get("OBJECT", "0")) not in {"0", "FULLSKY"}:
            assert notice.event_name == header["OBJECT"]
    for file in sorted((data_dir / "skymaps" / "moc").glob("*.fit*")):
        with pytest.raises(DecodeError, match="carries no probability"):
            parse_skymap_file(file.read_bytes())


def test_a_table_that_claims_endless_columns() -> None:
    def card(text: str) -> bytes:
        return text.ljust(80).encode()

    primary = b"".join(
        card(each)
        for each in (
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    0",
            "END",
        )
    )
    table = b"".join(
        card(each)
        for each in (
            "XTENSION= 'BINTABLE'",
            "BITPIX  =                    8",
            "NAXIS   =                    2",
            "NAXIS1  =                    8",
            "NAXIS2  =                    0",
            "PCOUNT  =                    0",
            "GCOUNT  =                    1",
            "TFIELDS =        1000000000000",
            "END",
        )
    )
    with pytest.raises(DecodeError, match="no column of probability"):
        parse_skymap_file(primary.ljust(2880) + table.ljust(2880))
