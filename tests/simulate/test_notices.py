"""Notices: JSON, VOEvents and sky maps, read by others' code."""

from __future__ import annotations

import base64
import io
import json
import re
from datetime import timedelta

import astropy.units as u
import numpy as np
import pytest
import voeventparse
from astropy.coordinates import SkyCoord
from astropy.io import fits

from broker.simulate import gcn, lvk
from broker.simulate.skymap import Shape, build, credible_level
from broker.simulate.voevent import gbm_position
from tests.simulate.conftest import START


def table(packet):
    data = base64.b64decode(json.loads(packet.data)["event"]["skymap"])
    with fits.open(io.BytesIO(data)) as file:
        return np.array(file[1].data), file[1].header


def apart(one, other):
    return SkyCoord(*one, unit="deg").separation(SkyCoord(*other, unit="deg")).deg


def test_a_burst_is_told_in_four_notices_each_closer():
    packets = list(gcn.burst(np.random.default_rng(1), START, (120.0, -30.0), tense="current"))
    notices = [json.loads(packet.data) for packet in packets]
    assert [notice["subtype"] for notice in notices] == [
        "INITIAL_ALERT",
        "FLIGHT_POSITION",
        "GROUND_POSITION",
        "FINAL_POSITION",
    ]
    assert [notice["alert_type"] for notice in notices] == ["initial", "update", "update", "update"]
    assert [notice["record_number"] for notice in notices] == [1, 2, 3, 4]
    assert {notice["alert_tense"] for notice in notices} == {"current"}
    assert len({tuple(notice["id"]) for notice in notices}) == 1
    assert "ra" not in notices[0]
    errors = [notice["ra_dec_error"] for notice in notices[1:]]
    assert errors == sorted(errors, reverse=True)
    assert notices[3]["duration_class"] == "LONG"
    assert [packet.time for packet in packets] == [START + timedelta(seconds=delay) for delay in gcn.GBM_DELAYS]


def test_positions_lie_within_their_errors_as_often_as_they_say():
    inside = 0
    for seed in range(300):
        last = list(gcn.burst(np.random.default_rng(seed), START, (120.0, -30.0)))[-1]
        notice = json.loads(last.data)
        inside += apart((notice["ra"], notice["dec"]), (120.0, -30.0)) < notice["ra_dec_error"]
    assert 0.6 < inside / 300 < 0.98


@pytest.mark.parametrize("tense", ["test", "current"])
def test_every_kind_of_notice_has_what_the_schema_asks_for(tense):
    packets = list(gcn.packets(1, 14, START, tense=tense))
    assert len(packets) == 14
    missions = set()
    for packet in packets:
        notice = json.loads(packet.data)
        missions.add(notice["mission"])
        assert notice["$schema"].startswith("https://gcn.nasa.gov/schema/main/gcn/notices/")
        assert notice["alert_tense"] == tense
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\dZ", notice["trigger_time"])
        assert notice["alert_datetime"] >= notice["trigger_time"]
    assert missions == {"Fermi", "Swift", "Einstein Probe", "IceCube"}


def test_icecube_circle_holds_the_true_place():
    notice = json.loads(gcn.icecube(np.random.default_rng(2), START, (200.0, 10.0)).data)
    assert apart((notice["ra"], notice["dec"]), (200.0, 10.0)) < notice["ra_dec_error"]
    assert notice["pipeline"] == "Gold Track Alert"
    assert notice["messenger"] == "Neutrino"


@pytest.mark.parametrize(("tense", "role"), [("current", "observation"), ("test", "test")])
def test_voevents_are_valid(tense, role):
    packet = gbm_position(START, (359.9, -20.0), 3.2, number=816_000_000, tense=tense)
    event = voeventparse.loads(packet.data)
    assert voeventparse.valid_as_v2_0(event)
    assert event.get("role") == role
    place = voeventparse.get_event_position(event)
    assert (place.ra, place.dec, place.err) == (359.9, -20.0, 3.2)
    assert voeventparse.get_event_time_as_utc(event) == START
    burst = next(iter(gcn.packets(1, 1, START, voevents=True)))
    assert voeventparse.valid_as_v2_0(voeventparse.loads(burst.data))


def test_lvk_sequence():
    event = lvk.make_event(np.random.default_rng(1), START)
    packets = list(lvk.notices(event, retract=True))
    notices = [json.loads(packet.data) for packet in packets]
    assert [notice["alert_type"] for notice in notices] == ["EARLYWARNING", "PRELIMINARY", "INITIAL", "UPDATE", "RETRACTION"]
    assert {notice["superevent_id"] for notice in notices} == {event.name}
    assert re.fullmatch(r"S261121[a-z]{1,2}", event.name)
    assert notices[-1]["event"] is None
    assert all(abs(sum(notice["event"]["classification"].values()) - 1) < 1e-9 for notice in notices[:-1])
    assert all(200_000 < len(packet.data) < 800_000 for packet in packets[:-1])
    assert lvk.make_event(np.random.default_rng(1), START, mock=True).name.startswith("MS261121")


def test_maps_are_normalised_and_whole():
    event = lvk.make_event(np.random.default_rng(4), START, distance=80.0)
    for packet in list(lvk.notices(event)):
        cells, header = table(packet)
        order = (np.log2(cells["UNIQ"] / 4) // 2).astype(int)
        area = np.pi / 3 / 4.0**order
        assert np.sum(cells["PROBDENSITY"] * area) == pytest.approx(1.0, abs=1e-12)
        assert np.sum(area) == pytest.approx(4 * np.pi, abs=1e-12)
        assert np.all(np.diff(cells["UNIQ"]) > 0)
        assert header["ORDERING"] == "NUNIQ"
        assert header["OBJECT"] == event.name
        assert header["DATE-OBS"].startswith("2026-11-21T04:00:00")
        assert header["DISTMEAN"] == pytest.approx(80.0, rel=0.15)
        assert 0 < header["DISTSTD"] < 30
        # Along each line of sight the distance is distributed: the ansatz integrates to 1.
        r = np.linspace(0, 400, 4001)[None, :]
        some = cells[:: len(cells) // 20]
        mu, sigma, norm = (some[name][:, None] for name in ("DISTMU", "DISTSIGMA", "DISTNORM"))
        density = norm * r**2 * np.exp(-0.5 * ((r - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        assert np.trapezoid(density, r, axis=1) == pytest.approx(1.0, abs=1e-4)


def test_each_map_is_better_than_the_last():
    areas = []
    for packet in lvk.notices(lvk.make_event(np.random.default_rng(4), START)):
        cells, _ = table(packet)
        order = (np.log2(cells["UNIQ"] / 4) // 2).astype(int)
        rows = np.argsort(-cells["PROBDENSITY"])
        area = (np.pi / 3 / 4.0**order)[rows]
        inside = np.cumsum(cells["PROBDENSITY"][rows] * area) < 0.9
        areas.append(area[inside].sum() * (180 / np.pi) ** 2)
    assert areas == sorted(areas, reverse=True)


def test_a_round_spot_is_a_gaussian():
    spot = Shape(ra=40.0, dec=20.0, radius=90.0, bearing=0.0, width=3.0, length=3.0, distance=50.0, spread=10.0)
    sky = build(spot)
    # Rayleigh: half of the probability within 1.1774 sigma, 90 % within 2.1460.
    for level, radius in ((0.5, 1.1774), (0.9, 2.1460)):
        place = SkyCoord(40, 20, unit="deg").directional_offset_by(70 * u.deg, 3.0 * radius * u.deg)
        assert credible_level(sky, place.ra.deg, place.dec.deg) == pytest.approx(level, abs=0.02)


def test_the_true_place_is_inside_the_90_percent_region():
    for seed in range(30):
        event = lvk.make_event(np.random.default_rng(seed), START)
        assert credible_level(lvk.sky_maps(event)[-1], event.ra, event.dec) < 0.9


def test_the_seed_decides_every_byte():
    assert list(lvk.packets(1, 6, START)) == list(lvk.packets(1, 6, START))
    assert list(gcn.packets(1, 9, START)) == list(gcn.packets(1, 9, START))
    assert list(gcn.packets(1, 9, START)) != list(gcn.packets(2, 9, START))
    assert sum(json.loads(p.data)["alert_type"] == "RETRACTION" for p in lvk.packets(1, 17, START)) == 1
