"""Survey packets to columns: identity, units, rejections."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.alert import COMMON, HISTORY
from broker.decode.declaration import load_declarations
from broker.decode.schemas import LsstPackage
from broker.decode.survey import decode_survey
from tests.decode.survey_packets import STREAMS, ZTF, Schemas, bare, container, framed, records, ztf

NONE = Schemas()


def decode(*packets, stream="ztf", schemas=NONE, wanted=frozenset()):
    batch = decode_survey(STREAMS[stream], records(*packets), schemas, frozenset(wanted))
    assert batch.received == batch.frame.height + batch.duplicates + len(batch.rejected)
    return batch


def reasons(batch):
    return [(item.record, item.unit, item.reason) for item in batch.rejected]


def test_common_columns():
    batch = decode(container([ztf(123456789012345678)]))
    row = batch.frame.row(0, named=True)
    assert list(batch.frame.columns)[: len(COMMON)] == list(COMMON)
    assert {name: batch.frame.schema[name] for name in COMMON} == COMMON
    assert row["alert_id"] == "ztf:123456789012345678"
    assert row["object_id"] == "ZTF99test"
    assert row["time"] == datetime(2023, 2, 25, 6, tzinfo=UTC)
    assert (row["ra"], row["dec"], row["mag"], row["mag_err"], row["band"]) == (10.5, -20.25, 18.5, 0.125, "g")
    assert (row["reliability"], row["positive"], row["candidate.rcid"], row["hpx"] > 0) == (0.5, True, 3, True)
    assert (row["_record"], row["_unit"]) == (0, 0)


@pytest.mark.parametrize(("said", "positive"), [("t", True), ("1", True), ("f", False), ("0", False), ("?", None)])
def test_directions(said, positive):
    assert decode(container([ztf(isdiffpos=said)])).frame["positive"].to_list() == [positive]


def test_sentinels_and_nan_are_null():
    frame = decode(container([ztf(distnr=-999.0, rb=float("nan"), drb=None)])).frame
    assert frame.select("candidate.distnr", "candidate.rb", "reliability").row(0) == (None, None, None)


def test_id_falls_back_to_the_candidates():
    assert decode(container([ztf(7, _candid=None)])).frame["alert_id"].to_list() == ["ztf:7"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"candid": None}, "no id: candid, candidate.candid missing"),
        ({"ra": 360.5}, "off the sphere: right ascension 360.5"),
        ({"ra": -0.001}, "off the sphere"),
        ({"dec": 90.5}, "off the sphere: declination 90.5"),
        ({"dec": float("nan")}, "no position"),
        ({"ra": float("inf")}, "off the sphere"),
        ({"ra": None}, "no position"),
    ],
)
def test_what_is_no_alert(changes, words):
    batch = decode(container([ztf(1), ztf(**({"candid": 2} | changes)), ztf(3)]))
    assert batch.frame["alert_id"].to_list() == ["ztf:1", "ztf:3"]
    assert batch.frame["_unit"].to_list() == [0, 2]
    ((record, unit, reason),) = reasons(batch)
    assert (record, unit) == (0, 1)
    assert words in reason


def test_right_ascension_of_360_is_0():
    assert decode(container([ztf(ra=360.0)])).frame["ra"].to_list() == [0.0]


def test_units_of_several_blocks_and_a_broken_one():
    good = container([ztf(number) for number in range(4)], interval=1)
    assert decode(good).frame["_unit"].to_list() == [0, 1, 2, 3]
    # The last block's end marker is gone: its three predecessors stand, it is one rejection.
    batch = decode(good[:-16] + b"x" * 16, container([ztf(9)]))
    assert batch.frame.select("_record", "_unit").rows() == [(0, 0), (0, 1), (0, 2), (1, 0)]
    ((record, unit, reason),) = reasons(batch)
    assert (record, unit) == (0, 3)
    assert "sync marker" in reason


def test_a_record_broken_inside_its_block_ends_the_packet():
    blocks = [container([ztf(number)]) for number in range(3)]
    head = len(blocks[0]) - (len(blocks[1]) - blocks[1].index(b"s" * 16))
    middle = bytearray(blocks[1][head + 16 :])
    middle[-17] ^= 0xFF  # the last byte of the cutout's text is data; break the union branch before it instead
    at = bytes(middle).index(b"\x0ca.fits") - 1
    middle[at] = 0x55
    batch = decode(blocks[0] + bytes(middle) + blocks[2][head + 16 :])
    assert batch.frame["alert_id"].to_list() == ["ztf:0"]
    ((_, unit, reason),) = reasons(batch)
    assert unit == 1
    assert "union branch" in reason


def test_trailing_garbage_costs_a_rejection_of_its_own():
    batch = decode(container([ztf(1)]) + b"\x00\x01\x02garbage")
    assert batch.frame["alert_id"].to_list() == ["ztf:1"]
    assert [unit for _, unit, _ in reasons(batch)] == [1]


@pytest.mark.parametrize("cut", [0, 3, 4, 40, 300, -1, -16, -17, -200])
def test_truncated(cut):
    whole = container([ztf(1)])
    batch = decode(whole[:cut] if cut else b"", container([ztf(2)]))
    assert batch.frame["alert_id"].to_list() == ["ztf:2"]
    assert [record for record, _, _ in reasons(batch)] == [0]


def test_no_record():
    assert "holds no record" in reasons(decode(container([])))[0][2]


def test_not_avro_at_all():
    assert "neither an Avro container nor" in reasons(decode(b"<xml/>"))[0][2]


def test_schema_of_another_survey_names_the_missing_field():
    schema = {"type": "record", "name": "other", "fields": [{"name": "x", "type": "double"}]}
    assert "none of candid, candidate.candid" in reasons(decode(container([{"x": 1.0}], schema)))[0][2]


def test_damaged_schemas_in_containers():
    for text in (
        b'{"type": "record", "name": "a", "fields": [{"name": "x", "type": "nonsense"}]}',
        b"[1]",
        b'"int"',
        b"{",
        b"{}",
        b"[" * 9999,
    ):
        size = len(text) << 1
        head = b"Obj\x01\x02\x16avro.schema" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + text + b"\x00"
        batch = decode(head + b"s" * 16 + b"\x02\x02\x00" + b"s" * 16, container([ztf(1)]))
        assert batch.frame.height == 1
        assert "schema" in reasons(batch)[0][2]


def test_wanted_fields():
    frame = decode(container([ztf(1)]), wanted={"schemavsn", "candidate.sigmapsf", "gaia.sep", "mag", "candidate"}).frame
    assert frame["candidate.sigmapsf"].to_list() == [0.125]
    assert frame["schemavsn"].to_list() == ["9.9"]
    assert "gaia.sep" not in frame.columns
    assert "history.time" not in frame.columns


def test_history():
    frame = decode(container([ztf(1), ztf(2, _prv_candidates=None)]), wanted={"history.mag"}).frame
    assert {name: frame.schema[name] for name in HISTORY} == HISTORY
    assert frame["history.time"].to_list() == [[59_990.0], []]  # the second entry is an upper limit
    assert frame["history.mag"].to_list() == [[19.0], []]
    assert frame["history.band"].to_list() == [[2], []]
    assert frame["history.positive"].to_list() == [[False], []]


def test_history_of_rows_among_rejected_ones():
    long = [*ztf()["prv_candidates"][:1]] * 300
    batch = decode(container([ztf(1), ztf(2, ra=400.0), ztf(3, _prv_candidates=long)]), wanted={"history.mag"})
    assert [len(item) for item in batch.frame["history.mag"].to_list()] == [1, 300]


def test_framing_by_schema_id():
    schemas = Schemas({77: ZTF})
    packets = framed(ztf(5), ZTF, 77), framed(ztf(6), ZTF, 78), framed(ztf(7), ZTF, 77) + b"!", framed(ztf(8), ZTF, 77)[:-1]
    batch = decode(*packets, schemas=schemas)
    assert batch.frame["alert_id"].to_list() == ["ztf:5"]
    assert reasons(batch)[0] == (1, 0, "schema 78 of stream ztf cannot be had: not here")
    assert "goes on after" in reasons(batch)[1][2]
    assert "ends before" in reasons(batch)[2][2]


def test_schemas_are_told_of_once():
    schemas = Schemas({77: ZTF})
    for _ in range(2):
        decode(container([ztf(1)]), framed(ztf(2), ZTF, 77), schemas=schemas)
    assert schemas.met == [("ztf", "container"), ("ztf", "id 77")]


LSST_MINIMAL = {
    "diaSourceId": 4, "visit": 5, "detector": 1, "midpointMjdTai": 60_000.5, "ra": 1.0, "dec": 2.0, "x": 1.0, "y": 1.0,
    "timeProcessedMjdTai": 60_000.6, "psfFlux": 1000.0, "psfFluxErr": 10.0, "band": "Y", "diaObjectId": 0, "ssObjectId": 25,
    "raErr": 1e-5, "decErr": 2e-5,
}  # fmt: skip


def lsst(version=1000, **changes):
    schema = LsstPackage().by_id("lsst", version)
    source = LSST_MINIMAL | changes
    return {"diaSourceId": 0, "diaSource": source}, schema


def test_lsst_bare_records_find_their_schema():
    newest = LsstPackage()
    packets = [bare(*lsst(1000)), bare(*lsst(900, diaSourceId=9)), bare(*lsst(1000))[:-1], b"\x7f" * 64]
    batch = decode(*packets, stream="lsst", schemas=newest)
    assert batch.frame["alert_id"].to_list() == ["lsst:4", "lsst:9"]
    assert [record for record, _, _ in reasons(batch)] == [2, 3]
    assert "schema 2058 of stream lsst cannot be had" in reasons(batch)[0][2]  # it begins with a zero, as a framed one does
    assert "bare record of none of the" in reasons(batch)[1][2]


def test_lsst_values():
    batch = decode(framed(*lsst(1000), 1000), framed(*lsst(1000, psfFlux=-5.0), 1000), stream="lsst", schemas=LsstPackage())
    first, second = batch.frame.rows(named=True)
    assert first["object_id"] == "25"  # diaObjectId 0 is none
    assert first["time"] == datetime(2023, 2, 25, 11, 59, 23, tzinfo=UTC)  # TAI was 37 s ahead
    assert first["band"] == "y"
    assert first["mag"] == pytest.approx(31.4 - 7.5)
    assert first["mag_err"] == pytest.approx(0.0108573620)
    assert first["ra_dec_error"] == pytest.approx(2.145966 * 2e-5)
    assert first["containment_probability"] == 0.9
    assert (first["positive"], second["positive"], second["mag"]) == (True, False, None)
    assert first["diaSource.ssObjectId"] == 25


def test_mixed_batch_keeps_the_order_of_records():
    nullable = {**ZTF, "namespace": "", "name": "topLevelRecord"}
    packets = [container([ztf(1)]), container([ztf(2)], nullable, codec="deflate"), b"junk", container([ztf(3), ztf(4)])]
    batch = decode(*packets)
    assert batch.frame["alert_id"].to_list() == ["ztf:1", "ztf:2", "ztf:3", "ztf:4"]
    assert batch.frame["_record"].to_list() == [0, 1, 3, 3]


def test_unusual_schema_goes_through_fastavro():
    tree = {"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}
    schema = {**ZTF, "fields": [*ZTF["fields"], {"name": "tree", "type": tree}]}
    packets = [container([ztf(1, _tree={"next": {"next": None}}), ztf(2, _tree={"next": None})], schema)]
    broken = bytearray(packets[0])
    broken[-17] = 0x7E  # the tree's last branch
    plain = decode(container([ztf(1), ztf(2)]), wanted={"history.mag"}).frame
    batch = decode(packets[0], bytes(broken), wanted={"history.mag"})
    assert batch.frame.select(plain.columns).equals(plain)
    assert [(record, "cannot be read" in reason) for record, _, reason in reasons(batch)] == [(1, True)]


def test_decat_object_packet_gives_its_latest_source():
    source = {
        "type": "record",
        "name": "source",
        "fields": [
            {"name": "sourceid", "type": "long"}, {"name": "mjd", "type": "double"}, {"name": "filter", "type": "string"},
            {"name": "ra", "type": "double"}, {"name": "dec", "type": "double"}, {"name": "mag", "type": "float"},
            {"name": "magerr", "type": "float"}, {"name": "rb", "type": "float"},
        ],
    }  # fmt: skip
    schema = {
        "type": "record",
        "name": "decat",
        "fields": [{"name": "objectid", "type": "string"}, {"name": "sources", "type": {"type": "array", "items": source}}],
    }
    items = [
        {"sourceid": number, "mjd": mjd, "filter": "g DECam SDSS c0001 4720.0 1520.0", "ra": 10.0 + number, "dec": -5.0,
         "mag": 20.0, "magerr": 0.5, "rb": 0.75}
        for number, mjd in ((1, 59_000.0), (2, 59_002.0), (3, 59_001.0))
    ]  # fmt: skip
    batch = decode(
        container([{"objectid": "DC21abc", "sources": items}, {"objectid": "DC21xyz", "sources": []}], schema),
        stream="decat", wanted={"history.time"},
    )  # fmt: skip
    row = batch.frame.row(0, named=True)
    names = ["alert_id", "object_id", "ra", "band", "reliability"]
    assert tuple(row[name] for name in names) == (
        "decat:2",
        "DC21abc",
        12.0,
        "g",
        0.75,
    )
    assert row["history.time"] == [59_000.0, 59_001.0]
    assert "no id" in reasons(batch)[0][2]


def test_decat_candidate_packet():
    names = ["mjd", "forcediffimflux", "forcediffimfluxunc", "forcediffimmag", "forcediffimmagunc", "ra", "dec"]
    fields = [*({"name": name, "type": "double"} for name in names), {"name": "band", "type": "string"}]
    schema = {
        "type": "record", "name": "alert", "namespace": "decam",
        "fields": [
            {"name": "objectId", "type": "string"}, {"name": "candid", "type": "long"},
            {"name": "candidate", "type": {"type": "record", "name": "candidate", "fields": fields}},
        ],
    }  # fmt: skip
    candidate = dict.fromkeys(names, 1.0) | {"mjd": 60_000.0, "forcediffimmag": 21.5, "band": "r"}
    batch = decode(container([{"objectId": "C1", "candid": 11, "candidate": candidate}], schema), stream="decat")
    assert batch.frame.select("alert_id", "object_id", "mag", "band").row(0) == ("decat:11", "C1", 21.5, "r")


def test_a_new_survey_is_one_file(tmp_path):
    (tmp_path / "toy.toml").write_text(
        """
        stream = "toy"
        title = "Toy survey"
        id = ["field+number"]
        ra = ["where.lon"]
        dec = ["where.lat"]
        [time]
        field = ["when"]
        format = "mjd"
        scale = "tai"
        [detect]
        fields = ["where.lon"]
        """
    )
    place = {"type": "record", "name": "place", "fields": [{"name": name, "type": "double"} for name in ("lon", "lat")]}
    fields = [{"name": "field", "type": "string"}, {"name": "number", "type": "int"}, {"name": "when", "type": "double"}]
    schema = {"type": "record", "name": "toy", "fields": [*fields, {"name": "where", "type": place}]}
    packet = container([{"field": "F7", "number": 12, "when": 60_000.0, "where": {"lon": 1.0, "lat": 2.0}}], schema)
    batch = decode_survey(load_declarations(tmp_path)["toy"], records(packet), NONE)
    assert batch.frame["alert_id"].to_list() == ["toy:F7-12"]


def test_an_endless_object_id_is_refused():
    batch = decode(container([ztf(1), {**ztf(2), "objectId": "Z" * 9_000}]))
    assert batch.frame["alert_id"].to_list() == ["ztf:1"]
    assert "more than 400 bytes" in batch.rejected[0].reason


def test_empty_batch():
    assert decode().frame.height == 0


@pytest.mark.parametrize("jd", [60_000.0, 1e300, float("nan")])
def test_an_alert_nobody_can_date_goes_on_without_a_time(jd):
    batch = decode(container([ztf(1), ztf(2, jd=jd)]))
    assert batch.rejected == ()
    assert batch.frame["alert_id"].to_list() == ["ztf:1", "ztf:2"]
    assert batch.frame["time"].is_null().to_list() == [False, True]
