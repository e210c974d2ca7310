"""Batches of notices: columns, counts, isolation of what is damaged."""

from __future__ import annotations

import json
import random
import struct
from io import BytesIO
from pathlib import Path

import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.alert import COMMON, PRIVATE, Batch, conform
from broker.decode.circular import from_circular
from broker.decode.lvk import from_igwn
from broker.decode.notice import Notice, Placed, digest, name_event, notice_frame
from broker.decode.notice_time import from_mjd, from_tjd, parse_time
from broker.decode.notices import decode_notices
from broker.record import Record
from broker.science.sky import radec_to_hpx

VOEVENT = b"""<?xml version="1.0"?><voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0"
 role="observation" ivorn="ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1234567-890"><Who><Date>2026-05-23T03:26:00</Date></Who><What>
<Param name="Packet_Type" value="61"/><Param name="TrigID" value="1234567" ucd="meta.id"/><Param name="Signif" value="7.5"/>
</What><WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLUN"/><ObservationLocation><AstroCoordSystem id="UTC-FK5-GEO"/>
<AstroCoords coord_system_id="UTC-FK5-GEO"><Time><TimeInstant><ISOTime>2026-05-23T03:25:45.67</ISOTime></TimeInstant></Time>
<Position2D unit="deg"><Value2><C1>123.45</C1><C2>-6.7</C2></Value2><Error2Radius>0.05</Error2Radius></Position2D>
</AstroCoords></ObservationLocation></ObsDataLocation></WhereWhen></voe:VOEvent>"""
UNIFIED = json.dumps(
    {"mission": "MAXI", "id": "99", "alert_datetime": "2026-05-23T00:00:00Z", "ra": 1.5, "dec": 2, "new": True}
).encode()
LVK = json.dumps(
    {"superevent_id": "S260523a", "alert_type": "RETRACTION", "time_created": "2026-05-23T00:00:00Z", "event": None}
).encode()
BINARY = struct.pack(">40i", 61, 7, 0, 1, 1_227_767, 20_441, 6_521_322, 3_366_645, -85_135, 0, 0, 500, *[0] * 27, 10)
TEXT = b"TITLE: GCN/FERMI NOTICE\nNOTICE_DATE: Tue 18 Apr 23 05:29:21 UT\nNOTICE_TYPE: Fermi-GBM Alert\nTRIGGER_NUM: 7\n"
CIRCULAR = b'{"circularId": 5, "eventId": "GRB 1", "createdOn": 1718212589034}'
SAMPLES = (VOEVENT, UNIFIED, LVK, BINARY, TEXT, CIRCULAR)


def decode(*values: bytes, wanted: frozenset[str] = frozenset(), stream: str = "gcn") -> Batch:
    batch = decode_notices(stream, [Record(f"raw.{stream}", 0, i, 0, None, value) for i, value in enumerate(values)], wanted)
    assert batch.received == batch.frame.height + len(batch.rejected)
    return batch


def test_signs_of_life_are_no_alerts() -> None:
    alive = struct.pack(">40i", 3, *[0] * 38, 10)
    batch = decode(b'{"alert_datetime": "2026-05-23T00:00:00Z"}', alive, UNIFIED)
    assert (batch.received, batch.frame["_record"].to_list(), batch.rejected) == (1, [2], ())


def test_columns_and_their_types() -> None:
    frame = decode(*SAMPLES).frame
    assert frame.columns == [*COMMON, *PRIVATE]
    assert conform(frame).schema == frame.schema
    assert frame["alert_id"].to_list()[0] == "gcn:ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1234567-890"
    assert frame["object_id"].to_list() == frame["event_name"].to_list()
    marks = [digest(sample) for sample in SAMPLES]
    marks[2] = from_igwn(json.loads(LVK)).mark or b""  # of what it says, not of its bytes: Avro says the same
    marks[5] = from_circular(json.loads(CIRCULAR)).mark or b""  # what tells an edit from a circular sent again
    assert frame["_digest"].to_list() == marks
    assert frame["hpx"].to_list()[:3] == [*radec_to_hpx([123.45, 1.5], [-6.7, 2.0]).tolist(), None]
    assert frame["_record"].to_list() == list(range(6))


def test_an_empty_batch_has_the_same_columns() -> None:
    assert decode().frame.schema == decode(VOEVENT).frame.schema


def test_wanted_fields_and_only_those() -> None:
    frame = decode(*SAMPLES, wanted=frozenset({"TrigID", "Signif", "new", "ra", "nowhere"})).frame
    assert frame.columns[len(COMMON) + len(PRIVATE) :] == ["Signif", "TrigID", "new"]
    assert (frame["TrigID"].dtype, frame["Signif"].dtype, frame["new"].dtype) == (pl.String, pl.Float64, pl.Boolean)
    assert frame["Signif"].to_list() == [7.5, None, None, None, None, None]


def test_mixed_types_become_text() -> None:
    notices = [Notice("a", fields={"x": 1.5}), Notice("b", fields={"x": "?"}), Notice("c", fields={"x": True}), Notice("d")]
    frame = notice_frame("gcn", [Placed(n, i, 0, b"") for i, n in enumerate(notices)], {"x"})
    assert frame["x"].to_list() == ["1.5", "?", "true", None]


def test_damaged_ones_cost_only_themselves() -> None:
    batch = decode(VOEVENT, b"", b"<VOEvent", UNIFIED, b"\xff\xfe\xfd", b"Broker: Unknown topic or partition", BINARY[:-1], LVK)
    assert batch.frame["_record"].to_list() == [0, 3, 7]
    reasons = {rejection.record: rejection.reason for rejection in batch.rejected}
    assert "empty message" in reasons[1]
    assert "not well formed" in reasons[2]
    assert "Kafka client" in reasons[5]
    assert "159 bytes" in reasons[6]
    assert {rejection.stage for rejection in batch.rejected} == {"decode"}


def test_several_alerts_in_one_container() -> None:
    schema = {
        "type": "record",
        "name": "A",
        "fields": [{"name": "superevent_id", "type": "string"}, {"name": "time_created", "type": "string"}],
    }
    rows = [{"superevent_id": name, "time_created": "2026-05-23T00:00:00Z"} for name in ("S260523a", "", "S260523c")]
    stream = BytesIO()
    fastavro.writer(stream, schema, rows, sync_interval=1)
    batch = decode(stream.getvalue()[:-3], stream="lvk")
    assert batch.received == 3
    assert batch.frame["event_name"].to_list() == ["S260523a"]
    assert len({rejection.unit for rejection in batch.rejected} | set(batch.frame["_unit"].to_list())) == 3


def test_the_same_ivorn_with_other_bytes_has_another_digest() -> None:
    frame = decode(VOEVENT, VOEVENT.replace(b'role="observation"', b'role="test"')).frame
    assert frame["alert_id"].n_unique() == 1
    assert frame["_digest"].n_unique() == 2


def test_a_bare_map_uses_the_name_of_its_file_last() -> None:
    batch = decode(b"SIMPLE  = not really")
    assert "header cut short" in batch.rejected[0].reason


def test_texts_that_no_database_holds() -> None:
    value = b'{"id": "a\\u0000b\\ud800", "event_name": "\\udfff", "x": "\\ud800", "alert_datetime": "2026-05-23T00:00:00Z"}'
    frame = decode(value, wanted=frozenset({"x"})).frame
    assert frame["alert_id"].to_list() == ["gcn:notice:a?b?:2026-05-23T00:00:00Z"]
    assert (frame["event_name"].to_list(), frame["x"].to_list()) == (["?"], ["?"])


def test_identifiers_of_json_are_texts_and_none_is_endless() -> None:
    value = json.dumps({"id": 7, "ref_ID": 8, "n": 2**60, "k": 1, "alert_datetime": "2026-05-23T00:00:00Z"}).encode()
    frame = decode(value, wanted=frozenset({"id", "ref_ID", "n", "k"})).frame
    assert frame.select("id", "ref_ID", "n", "k").row(0) == ("7", "8", str(2**60), 1.0)
    long = decode(json.dumps({"id": "x" * 10_000, "alert_datetime": "2026-05-23T00:00:00Z"}).encode()).frame
    assert len(long["alert_id"][0]) < 500


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f300"])
def test_names_are_short_enough_for_any_index_and_stay_apart(letter: str) -> None:
    def event(tail: str) -> dict[str, object]:
        name = letter * 9_000 + tail
        other = {"missions": [name], "event_name": [name], "ref_ID": name, "mission": name}
        value = {"id": [name], "alert_datetime": "2026-05-23T00:00:00Z", **other}
        return decode(json.dumps(value).encode()).frame.select("alert_id", "event_name", "_event").row(0, named=True)

    one, again, another = event("1"), event("1"), event("2")
    assert one == again
    for column in ("alert_id", "event_name"):
        assert one[column] != another[column]
        assert len(str(one[column]).encode()) < 512
    for name in ("names", "refers", "related", "cites"):
        assert all(len(each.encode()) < 512 for each in one["_event"][name])  # type: ignore[index]


@pytest.mark.parametrize("sample", SAMPLES)
def test_no_damage_makes_the_decoder_fail(sample: bytes) -> None:
    rng = random.Random(7)
    values = [sample[: rng.randrange(len(sample))] for _ in range(40)]
    for _ in range(150):
        damaged = bytearray(sample)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        values.append(bytes(damaged))
    batch = decode(*values, wanted=frozenset({"Signif", "new"}))
    assert batch.received == len(values)
    assert not [rejection.reason for rejection in batch.rejected if "decoder failed" in rejection.reason]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
TOP_KEYS = (
    "id",
    "event_name",
    "mission",
    "ra",
    "dec",
    "ra_dec_error",
    "containment_probability",
    "alert_datetime",
    "far",
    "$schema",
)
MORE_KEYS = (
    "trigger_time",
    "p_astro",
    "alert_type",
    "messenger",
    "classification",
    "data",
    "coincident_events",
    "healpix_file",
)
LVK_KEYS = ("superevent_id", "event", "external_coinc", "time_created", "circularId", "createdOn", "rectangular_error_corners")
KEYS = st.sampled_from(TOP_KEYS + MORE_KEYS + LVK_KEYS)


@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON, max_size=3), max_size=8))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_json_makes_the_decoder_fail(value: dict[str, object]) -> None:
    batch = decode(json.dumps(value).encode())
    assert not [rejection.reason for rejection in batch.rejected if "decoder failed" in rejection.reason]


@pytest.mark.parametrize(
    "text",
    [None, "", "soon", "2023-512--1076359880T00:00:00", "2016-01-00T00:00:00", "2016-01-01T25:00:00", "2016-01-01T00:00:61"],
)
def test_times_that_are_none(text: str | None) -> None:
    assert parse_time(text) is None


def test_times_that_are() -> None:
    leap = parse_time("2016-12-31T23:59:60.5Z")
    assert leap is not None
    assert leap.isoformat() == "2017-01-01T00:00:00+00:00"
    cut = parse_time("2016-01-02T03:04:05.1234567")
    assert cut is not None
    assert cut.microsecond == 123456
    assert from_tjd(-1, 0.0) is None
    assert from_tjd(20_441, 1e6) is None
    assert from_mjd(float("nan")) is None


@pytest.mark.parametrize(
    ("mission", "identifier", "name"),
    [
        ("Swift", "1234567", "Swift 1234567"),
        ("MAXI", "0001234567", "MAXI 1234567"),
        ("IceCube", "137840_57034692", "IceCube 137840_57034692"),
        ("Fermi", "GRB 230410A", "GRB 230410A"),
        (None, "1234567", "1234567"),
        ("Swift", "0", None),
        ("Swift", "0000", None),
        ("Swift", "-1", None),
        ("Swift", "099999", None),
        ("Swift", None, None),
        ("Swift", "unknown", None),
    ],
)
def test_event_names(mission: str | None, identifier: str | None, name: str | None) -> None:
    assert name_event(mission, identifier) == name


def test_every_real_notice_decodes_or_says_why(data_dir: Path) -> None:
    files = [
        file
        for folder in ("gcn", "skymaps")
        for file in sorted((data_dir / folder).rglob("*"))
        if file.is_file() and "tar" not in file.name
    ]
    assert len(files) > 700
    batch = decode(*(file.read_bytes() for file in files), wanted=frozenset({"TrigID", "significant"}))
    for rejection in batch.rejected:
        assert "no probability" in rejection.reason or "not a notice" in rejection.reason, files[rejection.record].name
    assert batch.frame.height > 700
    assert batch.frame["time"].null_count() == 0
    assert not batch.frame.filter(pl.col("ra").is_not_null() & pl.col("hpx").is_null()).height
