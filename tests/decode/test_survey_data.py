"""Every real survey packet, against fastavro and astropy."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import fastavro
import numpy as np
import polars as pl
import pytest
from astropy.time import Time

from broker.decode.packet import light_curve, read_packet
from broker.decode.schemas import Chain, LsstPackage
from broker.decode.sniff_avro import sniff_avro
from broker.decode.survey import decode_survey
from tests.decode.survey_packets import STREAMS, records

pytestmark = pytest.mark.data
SCHEMAS = Chain([LsstPackage()])
BARE = Path("lsst/schemaless_v9_0")

GROUPS = {
    "ztf": ["ztf/v*/*.avro", "ztf/respark/*.avro", "ztf/multi_record/*.avro"],
    "lsst": [
        "lsst/ocf/*.avro",
        "lsst/wire_original/*.avro",
        "lsst/derived_from_fink_wire/*/*.bin",
        "lsst/schemaless_v9_0/*.avro",
    ],
    "elasticc": ["elasticc/*.avro"],
    "winter": ["othersurveys/winter/*.avro"],
    "pgir": ["othersurveys/pgir/*.avro"],
    "atlas": ["othersurveys/atlas/*.avro"],
}


def files(data_dir, stream):
    found = sorted(path for pattern in GROUPS[stream] for path in data_dir.glob(pattern))
    if not found:
        pytest.skip(f"no packets of {stream}")
    return found


def oracle(path, data):
    """A packet's records as fastavro alone reads them."""
    if data.startswith(b"Obj\x01"):
        return list(fastavro.reader(io.BytesIO(data)))
    if path.parent.name == BARE.name:
        schema = json.loads((path.parent / "schema.json").read_text())
        return [fastavro.schemaless_reader(io.BytesIO(data), fastavro.parse_schema(schema), None)]
    schema = LsstPackage().by_id("lsst", int.from_bytes(data[1:5], "big"))
    return [fastavro.schemaless_reader(io.BytesIO(data[5:]), fastavro.parse_schema(schema), None)]


def first(packet, *paths):
    for path in paths:
        value = packet
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def flux_mag(flux, zeropoint):
    return None if flux is None or not flux > 0 else zeropoint - 2.5 * math.log10(flux)


def lsst_like(packet, zeropoint):
    source = packet["diaSource"]
    days = first(source, "midpointMjdTai", "midPointTai")
    found = next((str(source[name]) for name in ("diaObjectId", "ssObjectId") if source.get(name)), None)
    return {
        "id": source["diaSourceId"], "object": found, "time": Time(days, format="mjd", scale="tai") if days < 1e6 else None,
        "ra": source["ra"], "dec": first(source, "dec", "decl"),
        "mag": flux_mag(first(source, "psfFlux", "psFlux"), zeropoint), "band": first(source, "band", "filterName"),
    }  # fmt: skip


def ztf_like(packet, bands, stream):
    candidate = packet["candidate"]
    return {
        "id": first(packet, "candid", "candidate.candid"), "object": first(packet, "objectId", "objectid"),
        "time": Time(candidate["jd"], format="jd", scale="utc"), "ra": candidate["ra"], "dec": candidate["dec"],
        "mag": candidate["magpsf"], "band": bands.get(candidate.get("fid"), "J" if stream == "pgir" else None),
    }  # fmt: skip


def expected(stream, packet):
    if stream in {"lsst", "elasticc"}:
        return lsst_like(packet, 31.4 if stream == "lsst" else 27.5)
    if stream == "atlas":
        candidate = packet["candidate"]
        return {
            "id": packet["candid"], "object": packet["objectId"], "time": Time(candidate["mjd"], format="mjd", scale="utc"),
            "ra": candidate["RA"], "dec": candidate["Dec"], "mag": candidate["Mag"], "band": packet["candid"][13],
        }  # fmt: skip
    return ztf_like(packet, {1: "g", 2: "r", 3: "i"} if stream == "ztf" else {1: "Y", 2: "J", 3: "H"}, stream)


@pytest.mark.parametrize("stream", GROUPS)
def test_every_healthy_packet(data_dir, stream):
    paths = files(data_dir, stream)
    packets = [path.read_bytes() for path in paths]
    batch = decode_survey(STREAMS[stream], records(*packets), SCHEMAS, frozenset({"history.time"}))
    truth = {
        (number, unit): item for number, data in enumerate(packets) for unit, item in enumerate(oracle(paths[number], data))
    }
    assert batch.received == len(truth)
    assert batch.rejected == ()
    declaration = STREAMS[stream]
    checked = 0
    for row in batch.frame.iter_rows(named=True):
        packet = truth[row["_record"], row["_unit"]]
        want = expected(stream, packet)
        assert row["alert_id"] == f"{stream}:{want['id']}"
        assert row["object_id"] == want["object"]
        if want["time"] is None:  # the official examples of LSST's older schemas hold one that is none
            assert row["time"] is None
        else:
            assert abs(row["time"].timestamp() - want["time"].utc.unix) < 5e-5
        assert (row["ra"], row["dec"]) == (want["ra"], want["dec"])
        assert row["mag"] == (None if want["mag"] is None else pytest.approx(want["mag"], abs=1e-12))
        assert row["band"] == {"Y": "y"}.get(want["band"], want["band"]) if stream in {"lsst", "elasticc"} else want["band"]
        for name in set(declaration.keep) & row.keys():
            value = first(packet, name)
            missing = isinstance(value, float) and (math.isnan(value) or value in declaration.missing)
            assert row[name] == (None if missing else str(value) if name in declaration.text else value), name
            checked += value is not None
        if want["time"] is not None:  # a history is of what can be dated
            check_history(stream, packet, row)
    assert checked > batch.frame.height


def check_history(stream, packet, row):
    name = "prvDiaSources" if stream in {"lsst", "elasticc"} else "prv_candidates"
    items = [item for item in packet.get(name) or [] if item is not None]
    measured = [item for item in items if first(item, "magpsf", "psfFlux", "psFlux") not in {None, -999.0}]
    assert len(row["history.time"]) == len(measured)
    zeropoint = 27.5 if stream == "elasticc" else 31.4
    for number, item in enumerate(measured):
        mag = item["magpsf"] if "magpsf" in item else flux_mag(first(item, "psfFlux", "psFlux"), zeropoint)
        got = row["history.mag"][number]
        assert got == (None if mag is None else pytest.approx(mag, abs=1e-12))
        days = first(item, "jd", "midpointMjdTai", "midPointTai")
        # Leap seconds of the years the surveys ran in: TAI - UTC was 32 to 37 s.
        shift = 2_400_000.5 if "jd" in item else 0.0
        assert row["history.time"][number] == pytest.approx(days - shift, abs=1e-9 if shift else 38 / 86_400)


def test_damaged_packets_are_each_rejected(data_dir):
    paths = sorted((data_dir / "ztf/corrupt").iterdir())
    if not paths:
        pytest.skip("no damaged packets")
    batch = decode_survey(STREAMS["ztf"], records(*(path.read_bytes() for path in paths)), SCHEMAS)
    assert batch.frame.height == 0
    assert [item.record for item in batch.rejected] == list(range(len(paths)))
    assert all(item.reason for item in batch.rejected)


def test_truncated_real_packets_cost_themselves(data_dir):
    rng = np.random.default_rng(8)
    for stream in ("ztf", "lsst", "winter"):
        packets = [path.read_bytes() for path in files(data_dir, stream)[:6]]
        whole = decode_survey(STREAMS[stream], records(*packets), SCHEMAS)
        cut = [data[: rng.integers(1, len(data))] for data in packets for _ in range(4)]
        mixed = decode_survey(STREAMS[stream], records(*packets, *cut), SCHEMAS)
        # A cut container may still have whole blocks; they come behind.
        assert mixed.frame["alert_id"].to_list()[: whole.frame.height] == whole.frame["alert_id"].to_list()
        assert len({item.record for item in mixed.rejected} & set(range(len(packets), len(packets) + len(cut)))) == len(cut)


def test_streams_are_told_by_content(data_dir):
    for stream in GROUPS:
        for path in files(data_dir, stream):
            assert sniff_avro(path.read_bytes(), STREAMS, SCHEMAS) == stream, path
    others = [
        path
        for folder in ("gcn/igwn_avro", "gcn/igwn", "skymaps", "gcn/classic_bin")
        for path in data_dir.glob(f"{folder}/**/*")
    ]
    for path in others:
        if path.is_file():
            assert sniff_avro(path.read_bytes(), STREAMS, SCHEMAS) is None, path


@pytest.mark.parametrize("stream", GROUPS)
def test_single_packets(data_dir, stream):
    for path in files(data_dir, stream)[:40]:
        data = path.read_bytes()
        last = oracle(path, data)
        packet = read_packet(STREAMS[stream], data, SCHEMAS, len(last) - 1)
        assert repr(packet) == repr(last[-1])
        curve = light_curve(STREAMS[stream], packet)
        assert curve["time"].is_sorted()
        if expected(stream, packet)["time"] is not None and expected(stream, packet)["mag"] is not None:
            assert curve.filter(pl.col("kind") == "detection").height >= 1
