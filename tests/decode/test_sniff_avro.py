"""Streams told by content."""

from __future__ import annotations

import json
from copy import deepcopy

from broker.decode.schemas import LsstPackage
from broker.decode.sniff_avro import nearest, sniff_avro, stream_of_schema
from tests.decode.survey_packets import STREAMS, ZTF, Schemas, bare, container, framed, ztf
from tests.decode.test_survey import lsst

LSST = LsstPackage()


def sniff(data, schemas=LSST):
    return sniff_avro(data, STREAMS, schemas)


def test_containers():
    assert sniff(container([ztf(1)])) == "ztf"
    assert sniff(container([ztf(1)])[:-100]) == "ztf"
    assert sniff(container([lsst(1000)[0]], lsst(1000)[1])) == "lsst"
    for name in ("topLevelRecord", "whatever"):
        assert sniff(container([ztf(1)], {**ZTF, "namespace": "", "name": name})) == "ztf"
    other = {"type": "record", "name": "ztf.alert", "fields": [{"name": "x", "type": "int"}]}
    assert sniff(container([{"x": 1}], other)) is None


def test_union_of_records_is_still_somebodys():
    assert stream_of_schema([ZTF], STREAMS) == "ztf"
    assert stream_of_schema(["int"], STREAMS) is None
    assert stream_of_schema({"type": "record"}, STREAMS) is None
    assert stream_of_schema(None, STREAMS) is None


def test_framed_and_bare():
    packet, schema = lsst(900)
    assert sniff(framed(packet, schema, 900)) == "lsst"
    assert sniff(bare(packet | {"diaSourceId": 7}, schema)) == "lsst"
    assert sniff(framed(packet, schema, 12345)) is None
    assert sniff(bare(packet | {"diaSourceId": 7}, schema)[:-1]) is None
    assert sniff(framed(ztf(1), ZTF, 5), Schemas({5: ZTF})) is not None


def test_what_is_no_packet():
    notice = bytes(3) + b"\x3d" + bytes(156)
    for data in (
        b"",
        b"Obj\x01",
        b"Obj\x01\x04zz",
        b"<voe/>" * 9,
        json.dumps({"a": [1] * 99}).encode(),
        b"SIMPLE  =" * 99,
        notice,
        bytes(500),
    ):
        assert sniff(data) is None


def test_what_comes_nearest_and_what_it_lacks():
    some, packet = deepcopy(ZTF), deepcopy(ztf(1))
    (candidate,) = (field["type"] for field in some["fields"] if field["name"] == "candidate")
    candidate["fields"] = [field for field in candidate["fields"] if field["name"] != "rcid"]
    del packet["candidate"]["rcid"]
    data = container([packet], some)
    assert sniff(data) is None
    said = nearest(data, STREAMS)
    assert "ztf.alert" in said
    assert "declaration of ztf comes nearest" in said
    assert "lacks candidate.rcid" in said
    other = {"type": "record", "name": "my.alert", "fields": [{"name": "x", "type": "int"}]}
    assert "none of the fields" in nearest(container([{"x": 1}], other), STREAMS)
    assert "cannot be read" in nearest(b"Obj\x01 and no more", STREAMS)
    assert nearest(b"name,ra,dec", STREAMS) == ""
