"""Survey packets: read by fastavro and astropy, of the size they should be, and consistent from alert to alert."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections import defaultdict
from itertools import pairwise

import fastavro
import numpy as np
import pytest
from astropy.io import fits

from broker.errors import UsageError
from broker.simulate import lsst, ztf
from broker.simulate.sky import offset
from broker.simulate.ztf_schema import schema, schema_json
from tests.simulate.conftest import START, lsst_schema


def read_ztf(packet):
    (record,) = fastavro.reader(io.BytesIO(packet.data))
    return record


def read_lsst(packet, parsed):
    body = io.BytesIO(packet.data[5:])
    record = fastavro.schemaless_reader(body, parsed, None)
    assert not body.read()
    return record


@pytest.fixture(scope="module")
def ztf_packets():
    return list(ztf.packets(5, 1500, START))


@pytest.fixture(scope="module")
def ztf_alerts(ztf_packets):
    return [read_ztf(packet) for packet in ztf_packets]


@pytest.fixture(scope="module")
def lsst_alerts(schema_10):
    return [read_lsst(packet, schema_10) for packet in lsst.packets(schema_10, 5, 1500, START)]


def test_ztf_packets_are_of_true_size(ztf_packets, ztf_alerts):
    assert 72_000 < np.mean([len(packet.data) for packet in ztf_packets]) < 80_000
    assert 24_000 < len(schema_json()) < 26_500
    stamps = [
        sum(len(alert[f"cutout{kind}"]["stampData"]) for kind in ("Science", "Template", "Difference")) for alert in ztf_alerts
    ]
    assert 35_000 < np.mean(stamps) < 45_000
    assert {len(alert["prv_candidates"]) for alert in ztf_alerts} == {35}


def test_ztf_schema_is_the_one_of_real_packets(data_dir):
    with next((data_dir / "ztf" / "v4.02").glob("*.avro")).open("rb") as file:
        real = fastavro.reader(file).writer_schema
    assert _shape(fastavro.parse_schema(json.loads(json.dumps(schema())))) == _shape(real)


def _shape(kind):
    if isinstance(kind, list):
        return [_shape(branch) for branch in kind]
    if isinstance(kind, dict) and kind["type"] == "record":
        return [(field["name"], _shape(field["type"]), field.get("default", "no default")) for field in kind["fields"]]
    return ("array", _shape(kind["items"])) if isinstance(kind, dict) else kind


def test_ztf_ids_are_unique_and_well_formed(ztf_packets, ztf_alerts):
    assert len({alert["candid"] for alert in ztf_alerts}) == len(ztf_alerts)
    for packet, alert in zip(ztf_packets, ztf_alerts, strict=True):
        assert packet.name == str(alert["candid"]) == str(alert["candidate"]["candid"])
        assert alert["candid"] // 10**6 == alert["candidate"]["pid"]
        assert alert["objectId"][:3] == "ZTF"
        assert alert["objectId"][3:5].isdigit()
        assert alert["objectId"][5:].isalpha()
        assert len(alert["objectId"]) == 12


def test_ztf_cutouts_are_63_pixel_fits_images_and_add_up(ztf_alerts):
    for alert in ztf_alerts[::150]:
        images = {}
        for kind in ("Science", "Template", "Difference"):
            with fits.open(io.BytesIO(gzip.decompress(alert[f"cutout{kind}"]["stampData"]))) as file:
                images[kind] = file[0].data.astype(float)
            assert images[kind].shape == (63, 63)
        assert np.abs(images["Science"] - images["Template"] - images["Difference"]).max() < 0.01
        if alert["candidate"]["drb"] > 0.9 and alert["candidate"]["scorr"] > 15:
            middle = images["Difference"][29:34, 29:34].mean()
            assert (middle > 0) == (alert["candidate"]["isdiffpos"] == "t")


def test_ztf_history_is_that_of_earlier_alerts(ztf_alerts):
    by_object = defaultdict(list)
    for alert in ztf_alerts:
        by_object[alert["objectId"]].append(alert)
    several = [alerts for alerts in by_object.values() if len(alerts) > 1]
    assert len(several) > 100
    for alerts in several:
        for before, after in pairwise(alerts):
            seen = {epoch["candid"]: epoch for epoch in after["prv_candidates"]}
            epoch = seen[before["candid"]]
            for name in ("jd", "fid", "ra", "dec", "magpsf", "sigmapsf", "isdiffpos", "rb", "distnr"):
                assert epoch[name] == before["candidate"][name]
            assert after["candidate"]["ndethist"] > before["candidate"]["ndethist"]
            assert max(epoch["jd"] for epoch in after["prv_candidates"]) < after["candidate"]["jd"]
            assert min(epoch["jd"] for epoch in after["prv_candidates"]) > after["candidate"]["jd"] - 31


def test_ztf_values_are_physical(ztf_alerts):
    rows = [alert["candidate"] for alert in ztf_alerts]
    for row in rows:
        assert 11 < row["magpsf"] < row["diffmaglim"] + 0.3
        assert 0.005 < row["sigmapsf"] < 0.25
        assert 0 <= row["ra"] < 360
        assert -90 <= row["dec"] <= 90
        assert 0 <= row["rb"] <= 1
        assert 0 <= row["drb"] <= 1
    bogus = np.array([row["drb"] < 0.5 for row in rows])
    assert 0.02 < bogus.mean() < 0.3
    assert any(row["ssdistnr"] >= 0 and row["ssnamenr"] != "null" for row in rows)
    assert {row["isdiffpos"] for row in rows} == {"t", "f"}
    assert {row["fid"] for row in rows} == {1, 2}


def test_transients_are_put_near_the_galaxies_handed_in():
    rng = np.random.default_rng(3)
    field = next(iter(ztf.packets(9, 1, START, cutouts=False)))
    middle = read_ztf(field)["candidate"]
    ra, dec = offset(np.full(300, middle["ra"]), middle["dec"], 3 * np.sqrt(rng.random(300)), 360 * rng.random(300))
    galaxies = np.stack([ra, dec], axis=1)
    near = 0
    for packet in ztf.packets(9, 400, START, cutouts=False, galaxies=galaxies):
        row = read_ztf(packet)["candidate"]
        away = np.hypot((row["ra"] - ra) * np.cos(np.radians(dec)), row["dec"] - dec) * 3600
        near += bool(away.min() < 30)
    assert near > 20


@pytest.mark.parametrize("version", ["7.4", "9.0", "10.0", "11.0"])
def test_lsst_packets_are_framed_and_read_back(version):
    parsed = lsst_schema(version)
    packets = list(lsst.packets(parsed, 5, 60, START))
    major, minor = (int(part) for part in version.split("."))
    for packet in packets:
        assert struct.unpack(">bI", packet.data[:5]) == (0, major * 100 + minor)
        alert = read_lsst(packet, parsed)
        assert packet.name == str(alert["diaSource"]["diaSourceId"])
        with fits.open(io.BytesIO(alert["cutoutDifference"])) as file:
            assert file[0].data.shape == (64, 64)


def test_lsst_packets_are_of_the_size_asked_for(schema_10):
    small = np.mean([len(packet.data) for packet in lsst.packets(schema_10, 5, 400, START, stamp=0)])
    large = np.mean([len(packet.data) for packet in lsst.packets(schema_10, 5, 400, START, stamp=70)])
    assert 7_000 < small < 13_000
    assert 70_000 < large < 100_000


def test_lsst_history_is_that_of_earlier_alerts(lsst_alerts):
    by_object = defaultdict(list)
    for alert in lsst_alerts:
        by_object[alert["diaSource"]["diaObjectId"]].append(alert)
    by_object.pop(None, None)
    several = [alerts for alerts in by_object.values() if len(alerts) > 1]
    assert len(several) > 100
    for alerts in several:
        for before, after in pairwise(alerts):
            assert before["diaSource"] in after["prvDiaSources"]
            assert after["diaObject"]["nDiaSources"] == before["diaObject"]["nDiaSources"] + 1
            forced = {epoch["diaForcedSourceId"]: epoch for epoch in after["prvDiaForcedSources"]}
            assert forced[before["diaSource"]["diaSourceId"]]["psfFlux"] == before["diaSource"]["psfFlux"]


def test_lsst_moving_objects_have_no_object_of_the_sky(lsst_alerts):
    moving = [alert for alert in lsst_alerts if alert["diaSource"]["ssObjectId"] is not None]
    assert moving
    assert all(alert["diaObject"] is None and alert["diaSource"]["diaObjectId"] is None for alert in moving)
    assert all(alert["diaObject"] is not None for alert in lsst_alerts if alert not in moving)


def test_lsst_times_are_tai(lsst_alerts):
    first = lsst_alerts[0]["diaSource"]["midpointMjdTai"]
    assert first == pytest.approx(61365 + 4 / 24 + (15 + 37) / 86400, abs=1e-9)


def test_lsst_wants_its_own_schema():
    with pytest.raises(UsageError, match="no LSST alert schema"):
        lsst.layout({"type": "record", "name": "alert", "fields": []})


@pytest.mark.parametrize("make", ["ztf", "lsst"])
def test_the_seed_decides_every_byte(make, schema_10):
    def packets(seed):
        return list(ztf.packets(seed, 300, START) if make == "ztf" else lsst.packets(schema_10, seed, 300, START))

    assert packets(1) == packets(1)
    assert packets(1) != packets(2)
