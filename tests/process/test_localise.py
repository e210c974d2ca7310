"""Notices get their map measured, or are told why it was refused."""

from __future__ import annotations

import io
from dataclasses import astuple
from typing import Any

import healpy
import numpy as np
import polars as pl
import pytest
from astropy.io import fits

from broker.alert import COMMON, PRIVATE, Batch
from broker.process.localise import COLUMNS, localise
from broker.science import sky
from broker.science.circle import Circle, areas
from broker.science.skymap import SkyMap, area, from_cone

SCHEMA = {**COMMON, **PRIVATE}
Kept = list[tuple[str, str, SkyMap | Circle]]


def notices(*rows: dict[str, Any]) -> Batch:
    full = [{"alert_id": f"gcn:{i}", "event_name": f"E{i}", **row} for i, row in enumerate(rows)]
    frame = pl.DataFrame({name: pl.Series([row.get(name) for row in full], dtype=dtype) for name, dtype in SCHEMA.items()})
    return Batch("gcn", (), frame, frame.height)


def localised(*rows: dict[str, Any]) -> tuple[pl.DataFrame, Kept]:
    kept: Kept = []
    given = notices(*rows)
    got = localise(lambda *each: kept.append(each))(given)
    assert got.frame.columns == [*given.frame.columns, *COLUMNS]
    assert (got.received, got.frame.height) == (len(rows), len(rows))
    return got.frame, kept


def map_bytes(scale: float = 1.0, **header: object) -> bytes:
    nside = 64
    lon, lat = healpy.pix2ang(nside, np.arange(12 * nside**2), nest=True, lonlat=True)
    prob = np.exp(-0.5 * (sky.separation(200.0, -30.0, lon, lat) / 5.0) ** 2)
    given = {"PROB": scale * prob / prob.sum()}
    if "DISTMEAN" in header:
        given |= {
            "DISTMU": np.full(prob.size, 118.0),
            "DISTSIGMA": np.full(prob.size, 29.0),
            "DISTNORM": np.full(prob.size, 7e-5),
        }
    hdu = fits.BinTableHDU.from_columns([fits.Column(name, "D", array=values) for name, values in given.items()])
    hdu.header.update({"ORDERING": "NESTED", "NSIDE": nside, **header})
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(stream)
    return stream.getvalue()


def test_a_map_is_measured_and_kept() -> None:
    frame, kept = localised({"_skymap": map_bytes(DISTMEAN=120.0, DISTSTD=30.0)})
    row = frame.select(*COLUMNS).row(0, named=True)
    assert row["skymap.area90"] == pytest.approx(-2 * np.log(0.1) * np.pi * 25, rel=0.01)
    assert row["skymap.area50"] == pytest.approx(-2 * np.log(0.5) * np.pi * 25, rel=0.01)
    assert (row["skymap.distmean"], row["skymap.diststd"], row["skymap.order"]) == (120.0, 30.0, 6)
    assert frame["_deviations"].to_list() == [None]
    assert [(alert_id, event) for alert_id, event, _ in kept] == [("gcn:0", "E0")]
    assert isinstance(kept[0][2], SkyMap)
    assert area(kept[0][2], 0.9) == row["skymap.area90"]


def test_an_error_circle_is_measured_and_kept_as_one() -> None:
    frame, kept = localised(
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": 2.0},
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": 2.0, "containment_probability": 0.5},
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": 2.0, "containment_probability": 1.0},
    )
    circle = 2 * np.pi * (1 - np.cos(np.radians(2.0))) * np.degrees(1.0) ** 2
    assert frame["skymap.area90"][0] == pytest.approx(circle, rel=0.02)
    assert frame["skymap.area50"][1] == pytest.approx(circle, rel=0.02)
    assert frame["skymap.area90"][2] < frame["skymap.area90"][0] < frame["skymap.area90"][1]
    assert frame["skymap.distmean"].null_count() == 3
    assert kept[0][2] == Circle(10.0, 20.0, 2.0, 0.9)
    drawn = from_cone(*astuple(kept[0][2]))
    for column, probability in (("skymap.area50", 0.5), ("skymap.area90", 0.9)):
        assert frame[column][0] == pytest.approx(area(drawn, probability), rel=0.02)


@pytest.mark.parametrize(("radius", "containment"), [(0.01, 0.9), (20.0, 0.68), (120.0, 0.9), (170.0, 0.5)])
def test_areas_of_a_circle_are_those_of_its_map(radius: float, containment: float) -> None:
    circle = Circle(33.0, -60.0, radius, containment)
    drawn = from_cone(*astuple(circle))
    assert areas(circle, (0.5, 0.9)) == pytest.approx((area(drawn, 0.5), area(drawn, 0.9)), rel=0.02)


def test_what_has_no_extent_has_no_map() -> None:
    frame, kept = localised(
        {"ra": 10.0, "dec": 20.0},
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": 0.0},
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": float("nan")},
        {"ra_dec_error": 3.0},
        {"event_name": None},
    )
    assert kept == []
    assert frame.select(*COLUMNS).null_count().row(0) == (5,) * 5


def test_a_position_finer_than_an_arcsecond_has_the_smallest_circle() -> None:
    frame, kept = localised(
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": 0.0001},
        {"ra": 10.0, "dec": 20.0, "ra_dec_error": 0.0004},
    )
    assert [skymap.radius for _, _, skymap in kept if isinstance(skymap, Circle)] == [1.0 / 3600.0, 0.0004]
    assert 0.0 < frame["skymap.area90"][0] < frame["skymap.area90"][1]


def test_a_refused_map_is_told_and_its_circle_is_used() -> None:
    frame, kept = localised(
        {"_skymap": map_bytes(7.0), "_deviations": "no date"},
        {"_skymap": b"404 not found", "ra": 10.0, "dec": 20.0, "ra_dec_error": 2.0},
        {"_skymap": map_bytes()},
    )
    told = frame["_deviations"].to_list()
    assert told[0].startswith("no date; sky map is not normalised")
    assert "not a FITS file" in told[1]
    assert told[2] is None
    assert frame["skymap.area90"].is_null().to_list() == [True, False, False]
    assert [alert_id for alert_id, _, _ in kept] == ["gcn:1", "gcn:2"]


def test_a_map_of_no_event_is_measured_and_not_kept() -> None:
    frame, kept = localised({"_skymap": map_bytes(), "event_name": None})
    assert frame["skymap.area90"].null_count() == 0
    assert kept == []


def test_surveys_and_empty_batches_pass() -> None:
    survey = Batch("ztf", (), pl.DataFrame({"alert_id": ["a"]}), 1)
    assert localise(lambda *_: None)(survey) is survey
    frame, kept = localised()
    assert {name: frame.schema[name] for name in COLUMNS} == COLUMNS
    assert kept == []
