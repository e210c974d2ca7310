"""Messages of SCiMMA's hop, as its clients of today and of old write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hop.models import GCNCircular, GCNTextNotice, VOEvent

from broker.decode.hop import unwrap
from broker.decode.notices import decode_notices
from broker.decode.sniff import sniff_notice
from broker.errors import DecodeError
from broker.record import Record
from tests.notices import voevent

IVORN = "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1234567-890"
EVENT = voevent(IVORN, Packet_Type=61, TrigID=1234567, place=(123.45, -6.7, 0.05), cites=[("followup", "ivo://a/b#1")])
TEXT = b"TITLE:           GCN/FERMI NOTICE\nNOTICE_TYPE:     Fermi-GBM Alert\nTRIGGER_NUM:     700000001\n"


def read(value: bytes) -> dict[str, Any]:
    batch = decode_notices("gcn", [Record("raw.gcn", 0, 0, 0, None, value)], frozenset())
    assert not batch.rejected, batch.rejected
    (row,) = batch.frame.drop("_digest").to_dicts()
    return row


def elements(event: VOEvent) -> dict[str, Any]:
    """What clients before 2023 sent of a VOEvent: its elements and attributes alike as members of an object."""
    return {name: part for name, part in vars(event).items() if not name.startswith("_") and part}


def test_a_voevent_as_json_says_what_its_xml_says() -> None:
    told = elements(VOEvent.load(EVENT))
    for value in (told, {"format": "voevent", "content": told}, {"format": "voevent", "content": EVENT.decode()}):
        data = json.dumps(value).encode()
        assert sniff_notice(data) is not None
        assert sniff_notice(data).stream == "gcn"  # type: ignore[union-attr]
        row, direct = read(data), read(EVENT)
        for name in (
            "alert_id",
            "event_name",
            "time",
            "ra",
            "dec",
            "ra_dec_error",
            "alert_type",
            "alert_tense",
            "mission",
            "_event",
        ):
            assert row[name] == direct[name], name


def test_texts_and_circulars() -> None:
    notice = GCNTextNotice.load(TEXT)
    wrapped = {"format": "gcntextnotice", "content": {"raw": notice.raw.decode(), "fields": notice.fields}}
    assert read(json.dumps(wrapped).encode())["event_name"] == "Fermi 700000001"
    mail = "TITLE: GCN CIRCULAR\nNUMBER: 40\nSUBJECT: GRB980329: VLA\nDATE: 98/04/03 07:10:15 GMT\nFROM: A B\n\nText."
    circular = GCNCircular.load(mail)
    for value in (circular.serialize()["content"], bytes(circular)):
        row = read(value)
        assert (row["alert_id"], row["event_name"]) == ("gcn:circular-40", "GRB 980329")
        assert sniff_notice(value) is not None


def test_json_in_json() -> None:
    notice = {"mission": "Fermi", "id": "700000001", "trigger_time": "2026-05-23T03:25:45Z"}
    for content in (notice, json.dumps(notice)):
        assert read(json.dumps({"format": "json", "content": content}).encode())["event_name"] == "Fermi 700000001"


@pytest.mark.parametrize("value", [{"format": "fits", "content": "x"}, {"mission": "Fermi"}, {"header": {}, "body": "x"}])
def test_what_is_no_hop_message(value: dict[str, Any]) -> None:
    assert unwrap(value) is None


def test_what_cannot_be_unwrapped() -> None:
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(40):
        inner["What"] = {}
        inner = inner["What"]
    with pytest.raises(DecodeError, match="deep"):
        unwrap({"ivorn": "ivo://a/b#1", "What": deep} | {"Why": {"x": 1}})
    with pytest.raises(DecodeError, match="no element"):
        unwrap({"ivorn": "ivo://a/b#1", "What": {"a b": 1}})
    with pytest.raises(DecodeError, match="neither"):
        unwrap({"format": "blob", "content": 5})
