"""What bytes are, told without parsing them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from broker.decode.sniff import sniff_notice

VOEVENT = b'<?xml version="1.0"?>\n<!-- x --><voe:VOEvent xmlns:voe="x" role="test" ivorn="ivo://%s#1"></voe:VOEvent>'
BINARY = struct.pack(">40i", 61, 7, 0, 1, 1, 20_441, 6_521_322, *[0] * 32, 10)


@pytest.mark.parametrize(
    ("data", "stream"),
    [
        (VOEVENT % b"nasa.gsfc.gcn/SWIFT", "gcn"),
        (VOEVENT % b"NASA.gsfc.gcn/Fermi", "gcn"),
        (VOEVENT % b"gwnet/LVC", "lvk"),
        (VOEVENT % b"gaia.cam.uk/alerts", "voevent"),
        (b"\xef\xbb\xbf  " + VOEVENT % b"gwnet/LVC", "lvk"),
        ((VOEVENT % b"gwnet/LVC").decode().encode("utf-16"), "lvk"),
        (b'<VOEvent version="2.0">', "voevent"),
        (b'<!DOCTYPE VOEvent [<!ENTITY a "b">]><VOEvent ivorn="ivo://gwnet/LVC#1"/>', "lvk"),
        (b'{"superevent_id": "S1", "event": ', "lvk"),
        (b'[{"superevent_id": "S1"}]', "lvk"),
        (b"Obj\x01" + b'...{"name": "superevent_id"}', "lvk"),
        (b'{"circularId": 1}', "gcn"),
        (b'{"alert_datetime": "2024-01-01T00:00:00Z"}', "gcn"),
        (b'{"mission": "MAXI", "ra": NaN', "gcn"),
        (b'{"$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/core/Pointing.schema.json"}', "gcn"),
        (b'{"$schema": "nuncius/coincidence/1/0", "coincidence": {"id": "S260801a+X"}}', "coincidence"),
        (b'{"circularId": 2, "body": "as of nuncius/coincidence/1/0"}', "gcn"),
        (b"TITLE:   GCN/FERMI NOTICE\nNOTICE_TYPE: x\n", "gcn"),
        (b"TITLE:   GCN CIRCULAR\nNUMBER: 1\n", "gcn"),
        (BINARY, "gcn"),
        (b"SIMPLE  =                    T", "skymap"),
        (gzip.compress(b"SIMPLE  =                    T", mtime=0), "skymap"),
    ],
)
def test_notices(data: bytes, stream: str) -> None:
    kind = sniff_notice(data)
    assert kind is not None
    assert kind.stream == stream


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"<html></html>",
        b"<",
        b"<!-- unclosed <VOEvent",
        b'<trn:Transport role="iamalive" xmlns:trn="http://telescope-networks.org/schema/Transport/v1.1"/>',
        b"Obj\x01" + b'...{"name": "candid"}',
        b'{"type": "record", "name": "igwn", "fields": [{"name": "superevent_id"}, {"name": "mission"}]}',
        b'{"$id": "https://gcn.nasa.gov/schema/gcn/notices/core/Alert.schema.json", "properties": {"alert_datetime": {}}}',
        b'{"name": "nuncius", "version": 1}',
        b"\x1f\x8b" + b"x" * 30,
        gzip.compress(b"hello", mtime=0),
        b"Broker: Unknown topic or partition",
        b"x" * 160,
        b"\0" * 160,
    ],
)
def test_other_things(data: bytes) -> None:
    assert sniff_notice(data) is None


def test_a_heartbeat_has_a_type_of_its_own() -> None:
    kind = sniff_notice(
        b'{"$schema": "https://gcn.nasa.gov/schema/v4.1.0/gcn/notices/core/Alert.schema.json", "alert_datetime":"2024-01-01Z"}'
    )
    assert kind is not None
    assert kind.content_type == "gcn/heartbeat"


def test_real_files(data_dir: Path) -> None:
    for folder in (
        "gcn/voevent",
        "gcn/voevent_misc",
        "gcn/igwn",
        "gcn/igwn_avro",
        "gcn/json_schema_examples",
        "gcn/classic_bin",
        "skymaps",
    ):
        unknown = [
            file.name for file in (data_dir / folder).rglob("*.*") if file.is_file() and sniff_notice(file.read_bytes()) is None
        ]
        assert unknown in ([], ["Reporter.example.json"]), folder
    for folder in ("ztf", "lsst", "elasticc", "othersurveys", "catalogs"):
        for file in sorted((data_dir / folder).rglob("*"))[::5]:
            assert not file.is_file() or sniff_notice(file.read_bytes()) is None, file.name
