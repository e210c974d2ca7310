"""VOEvents of ours: valid, read back alike, and citing what they follow."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import voeventparse
import voeventparse as vp

from broker.decode.voevent import parse_voevent
from broker.deliver.voevent import Sender, Told, event_voevent, match_voevent
from tests.services import missing

WRITTEN = datetime(2026, 8, 2, 3, 4, 5, tzinfo=UTC)
SENDER = Sender("org.example/nuncius", api="http://127.0.0.1:8000")
TIME = datetime(2024, 4, 22, 21, 35, 13, 417000, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "event_name": "S240422ed",
    "revision": 3,
    "real": True,
    "state": "update",
    "messenger": "GW",
    "far": 1e-9,
    "significant": True,
    "classification": "NSBH",
    "area90": 259.0,
    "time": TIME,
    "ra": 12.25,
    "dec": -3.5,
    "ra_dec_error": 5.0,
    "updated": TIME,
    "change": "90 % area 259 instead of 2,593 deg²",
}
ALERT: dict[str, Any] = {
    "alert_id": "ztf:123",
    "object_id": "ZTF24aaa",
    "stream": "ztf",
    "mag": 19.25,
    "band": "r",
    "positive": True,
    "time": TIME,
    "ra": 1.5,
    "dec": 2.5,
    "skymaps": [{"event": "S240422ed", "revision": 3, "credible_level": 0.2, "density": 3.0, "dt": 1000.0}],
    "annotations": {"ngc.sep": 3.5, "nothing": None},
}


def cited(packet: Any) -> list[tuple[str, str]]:
    return [(str(each), each.get("cite")) for each in packet.Citations.EventIVORN]


def test_an_event_read_back() -> None:
    data = event_voevent(EVENT, SENDER)
    packet = vp.loads(data)
    assert vp.valid_as_v2_0(packet)
    assert packet.get("ivorn") == "ivo://org.example/nuncius/events#S240422ed-3"
    assert packet.get("role") == "observation"
    assert vp.get_event_time_as_utc(packet) == TIME
    position = vp.get_event_position(packet)
    assert (position.ra, position.dec, position.err) == (12.25, -3.5, 5.0)
    params = {each.get("name"): each for each in packet.What.Param}
    assert (float(params["far"].get("value")), params["far"].get("unit")) == (1e-9, "Hz")
    assert params["change"].get("value") == EVENT["change"]
    assert cited(packet) == [("ivo://org.example/nuncius/events#S240422ed-2", "supersedes")]
    assert parse_voevent(data).time == TIME


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"state": "retracted"}, [("ivo://org.example/nuncius/events#S240422ed-2", "retraction")]),
        (
            {"alert_id": "gcn:ivo://gwnet/LVC#S240422ed-3-Update"},
            [
                ("ivo://org.example/nuncius/events#S240422ed-2", "supersedes"),
                ("ivo://gwnet/LVC#S240422ed-3-Update", "followup"),
            ],
        ),
    ],
)
def test_what_an_event_cites(change: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert cited(vp.loads(event_voevent(EVENT | change, SENDER))) == expected


def test_a_first_notice_cites_nothing_and_a_test_says_so() -> None:
    packet = vp.loads(event_voevent(EVENT | {"revision": 1, "real": False}, SENDER))
    assert packet.find("Citations") is None
    assert packet.get("role") == "test"


@pytest.mark.parametrize("missing", [("ra", "dec"), ("time",), ("ra", "dec", "time"), ("ra_dec_error",)])
def test_what_is_not_known_is_left_out(missing: tuple[str, ...]) -> None:
    packet = vp.loads(event_voevent({name: value for name, value in EVENT.items() if name not in missing}, SENDER))
    assert vp.valid_as_v2_0(packet)
    assert (packet.find(".//Position2D") is None) == bool({"ra", "time"} & set(missing))


def test_text_that_xml_cannot_hold() -> None:
    packet = vp.loads(event_voevent(EVENT | {"change": "a\x00b\x1fc <&>\ud800", "event_name": "GRB 1 & <2>"}, SENDER))
    params = {each.get("name"): each.get("value") for each in packet.What.Param}
    assert params["change"] == "abc <&>"
    assert params["event_name"] == "GRB 1 & <2>"
    assert packet.get("ivorn").endswith("#GRB%201%20%26%20%3C2%3E-3")


def test_a_match_and_what_is_told_of_it_later() -> None:
    first = vp.loads(match_voevent(ALERT, "kilonova", "2", Told(WRITTEN), SENDER))
    assert vp.valid_as_v2_0(first)
    assert cited(first) == [("ivo://org.example/nuncius/events#S240422ed-3", "followup")]
    groups = {group.get("name"): {each.get("name"): each.get("value") for each in group.Param} for group in first.What.Group}
    assert groups["filter"] == {"filter": "kilonova", "filter_version": "2"}
    assert groups["skymap_S240422ed"]["credible_level"] == "0.2"
    assert groups["annotations"] == {"ngc.sep": "3.5"}
    assert first.Who.Date == "2026-08-02T03:04:05"  # when it was written, not when the alert was
    (left,) = ALERT["skymaps"]
    ivorns = set()
    for told, maps, how in (
        (Told(WRITTEN, "rescored", "S240422ed", 4), [left], "supersedes"),
        (Told(WRITTEN, "retracted", "S240422ed", 5), [], "retraction"),
        (Told(WRITTEN, "rescored", "S240422ed", 6), [left], "supersedes"),
        (Told(WRITTEN, "retracted", "S240422ed", 7), [], "retraction"),
        (Told(WRITTEN, "retracted", "GRB1", 7), [left], "supersedes"),  # of two events one is retracted
    ):
        later = vp.loads(match_voevent(ALERT | {"skymaps": maps}, "kilonova", "2", told, SENDER))
        assert vp.valid_as_v2_0(later)
        assert cited(later)[0] == (first.get("ivorn"), how)
        assert later.get("ivorn").endswith(f"{told.event}-{told.revision}")
        ivorns.add(later.get("ivorn"))
    assert len(ivorns) == 5


def test_an_error_that_is_not_known_is_not_none_at_all() -> None:
    packet = vp.loads(match_voevent(ALERT | {"ra_dec_error": None}, "kilonova", "2", Told(WRITTEN), SENDER))
    assert vp.valid_as_v2_0(packet)
    assert packet.find(".//Position2D") is not None
    assert {each.get("name"): each.get("value") for each in packet.What.Param}["ra_dec_error"] == "unknown"
    known = vp.loads(match_voevent(ALERT | {"ra_dec_error": 0.1}, "kilonova", "2", Told(WRITTEN), SENDER))
    assert "ra_dec_error" not in {each.get("name") for each in known.What.Param}


def test_stilts_finds_them_valid(tmp_path: Path) -> None:
    if shutil.which("stilts") is None:
        missing("stilts is not here: install it")
    schema = tmp_path / "voevent.xsd"
    schema.write_bytes(voeventparse.definitions.v2_0_schema_str)
    packets = {
        "event": event_voevent(EVENT, SENDER),
        "bare": event_voevent({"event_name": "x", "revision": 1}, SENDER),
        "match": match_voevent(ALERT, "kilonova", "2", Told(WRITTEN), SENDER),
        "later": match_voevent(ALERT, "kilonova", "2", Told(WRITTEN, "retracted", "S240422ed", 4), SENDER),
    }
    location = f"schemaloc=http://www.ivoa.net/xml/VOEvent/v2.0={schema}"
    for name, packet in (packets | {"wrong": packets["event"].replace(b"What>", b"Whut>")}).items():
        file = tmp_path / f"{name}.xml"
        file.write_bytes(packet)
        found = subprocess.run(["stilts", "xsdvalidate", location, f"doc={file}"], capture_output=True, text=True, check=False)
        assert (found.returncode == 0) == (name != "wrong"), found.stdout + found.stderr
