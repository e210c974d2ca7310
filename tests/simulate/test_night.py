"""A whole night: everything is told, in order, and the counterparts are where they should be."""

from __future__ import annotations

import io
import json
from collections import Counter
from itertools import pairwise

import fastavro
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from broker.errors import UsageError
from broker.simulate.night import make_night
from tests.simulate.conftest import START

RATES = {"ztf": 2.0, "lsst": 1.0, "gcn": 0.02}


@pytest.fixture(scope="module")
def night(schema_10):
    return make_night(7, START, 300.0, RATES, lsst_schema=schema_10)


@pytest.fixture(scope="module")
def packets(night):
    return list(night.packets())


def test_comes_in_time_order_and_counts_are_kept(night, packets):
    assert all(one.time <= other.time for one, other in pairwise(packets))
    assert Counter(packet.stream for packet in packets) == night.counts
    assert 0.7 < night.counts["ztf"] / 600 < 1.4
    assert 0.7 < night.counts["lsst"] / 300 < 1.4
    assert night.counts["lvk"] == 4
    assert len({(packet.stream, packet.name) for packet in packets}) == len(packets)
    assert (packets[-1].time - START).total_seconds() < 330


def test_every_truth_shows(night, packets):
    names = {(packet.stream, packet.name) for packet in packets}
    assert [truth.kind for truth in night.truth] == [
        *("gw", "grb", "neutrino"),
        *("kilonova", "afterglow", "tde"),
        *("kilonova", "afterglow", "tde"),
    ]
    for truth in night.truth:
        assert truth.packets
        assert all((truth.stream, name) in names for name in truth.packets)


def test_the_kilonova_appears_after_the_merger_within_the_90_percent_region(night, packets):
    event = night.truth[0]
    assert event.level is not None
    assert event.level < 0.9
    kilonova = next(truth for truth in night.truth if truth.kind == "kilonova" and truth.stream == "ztf")
    assert kilonova.event == event.name
    for packet in packets:
        if packet.stream == "ztf" and packet.name in kilonova.packets:
            (alert,) = fastavro.reader(io.BytesIO(packet.data))
            row = alert["candidate"]
            assert alert["objectId"] == kilonova.name
            assert packet.time > event.time
            assert SkyCoord(row["ra"], row["dec"], unit="deg").separation(SkyCoord(event.ra, event.dec, unit="deg")).arcsec < 2
            assert row["magpsf"] < 20
            assert [
                epoch for epoch in alert["prv_candidates"] if epoch["candid"] is not None and epoch["jd"] < row["jd"] - 0.5
            ] == []


def test_the_neutrino_points_at_the_flare(night, packets):
    flare = next(truth for truth in night.truth if truth.kind == "tde")
    notice = next(json.loads(p.data) for p in packets if p.name.startswith("icecube") and p.name in night.truth[2].packets)
    place = SkyCoord(notice["ra"], notice["dec"], unit="deg")
    assert place.separation(SkyCoord(flare.ra, flare.dec, unit="deg")).deg < notice["ra_dec_error"]


def test_the_kilonova_lies_near_a_galaxy_handed_in(schema_10):
    rng = np.random.default_rng(1)
    galaxies = np.stack([rng.uniform(0, 360, 30000), rng.uniform(-20, 10, 30000)], axis=1)
    event = make_night(7, START, 300.0, {}, galaxies=galaxies).truth[0]
    away = SkyCoord(event.ra, event.dec, unit="deg").separation(SkyCoord(galaxies[:, 0], galaxies[:, 1], unit="deg")).arcsec
    assert 3.9 < away.min() < 12.1


def test_the_seed_decides_every_byte(night, packets, schema_10):
    assert list(night.packets()) == packets
    assert list(make_night(7, START, 300.0, RATES, lsst_schema=schema_10).packets()) == packets
    assert make_night(8, START, 300.0, RATES, lsst_schema=schema_10).truth != night.truth


@pytest.mark.parametrize("duration", [30.0, 3600.0])
def test_short_and_long_nights_show_everything(duration):
    night = make_night(3, START, duration, {"ztf": 1.0}, cutouts=False)
    assert all(truth.packets for truth in night.truth)
    assert sum(1 for _ in night.packets()) == sum(night.counts.values())


def test_tense_is_as_asked():
    quiet = make_night(3, START, 60.0, {}, tense="test")
    notices = [json.loads(packet.data) for packet in quiet.packets()]
    assert all(notice.get("alert_tense", "test") == "test" for notice in notices)
    assert all(notice["superevent_id"].startswith("MS") for notice in notices if "superevent_id" in notice)


def test_wrong_use_is_told(schema_10):
    with pytest.raises(UsageError, match="atlas"):
        make_night(1, START, 60.0, {"atlas": 1.0})
    with pytest.raises(UsageError, match="lsst_schema"):
        make_night(1, START, 60.0, {"lsst": 1.0})
