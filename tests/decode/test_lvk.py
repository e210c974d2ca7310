"""LVK's alerts: JSON, Avro and the dialects of earlier years."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest

from broker.decode.lvk import from_igwn, read_ocf
from broker.decode.notice_json import parse_object
from broker.errors import DecodeError

FITS = b"SIMPLE  =                    T" + b" " * 50


def igwn(**more: Any) -> dict[str, Any]:
    return {
        "alert_type": "PRELIMINARY",
        "time_created": "2026-05-23T22:34:49Z",
        "superevent_id": "S260523ab",
        "urls": {"gracedb": "https://example.org/superevents/S260523ab/view/"},
        "event": {
            "time": "2026-05-23T22:22:46.654Z",
            "far": 9.1e-14,
            "significant": True,
            "instruments": ["H1", "L1"],
            "group": "CBC",
            "pipeline": "gstlal",
            "search": "AllSky",
            "properties": {"HasNS": 0.95},
            "classification": {"BNS": 0.95, "BBH": 0.03, "Terrestrial": 0.02},
            "skymap": base64.b64encode(FITS).decode(),
        },
        "external_coinc": None,
        **more,
    }


def test_a_healthy_alert_in_full() -> None:
    notice = from_igwn(igwn())
    assert notice.native_id == "S260523ab-PRELIMINARY-2026-05-23T22:34:49Z"
    assert notice.event_name == "S260523ab"
    assert notice.time == datetime(2026, 5, 23, 22, 22, 46, 654_000, tzinfo=UTC)
    assert (notice.ra, notice.dec) == (None, None)
    assert (notice.messenger, notice.mission, notice.instrument) == ("GW", "LVK", "H1,L1")
    assert (notice.alert_type, notice.alert_tense, notice.classification) == ("initial", "current", "BNS")
    assert notice.p_astro == pytest.approx(0.98)
    assert notice.skymap == FITS
    assert notice.deviations == ()
    expected = {"classification.BNS": 0.95, "properties.HasNS": 0.95, "significant": True, "far": 9.1e-14, "group": "CBC"}
    expected |= {
        "pipeline": "gstlal",
        "search": "AllSky",
        "instruments": "H1,L1",
        "notice_type": "PRELIMINARY",
        "event.group": "CBC",
    }
    assert {name: notice.fields[name] for name in expected} == expected


def test_a_retraction_has_no_event() -> None:
    notice = from_igwn(igwn(alert_type="RETRACTION", event=None))
    assert notice.alert_type == "retraction"
    assert notice.time == datetime(2026, 5, 23, 22, 34, 49, tzinfo=UTC)
    assert (notice.far, notice.classification, notice.skymap, notice.deviations) == (None, None, None, ())


@pytest.mark.parametrize("name", ["MS260523ab", "TS260523ab", "MGW260523A"])
def test_mock_and_test_superevents(name: str) -> None:
    assert from_igwn(igwn(superevent_id=name)).alert_tense == "test"


def test_less_significant_alerts() -> None:
    event = igwn()["event"] | {"significant": False}
    assert from_igwn(igwn(event=event)).fields["significant"] is False


@pytest.mark.parametrize(
    ("spelling", "kind"), [("EarlyWarning", "initial"), ("EARLY_WARNING", "initial"), ("Update", "update")]
)
def test_older_dialects(spelling: str, kind: str) -> None:
    event = {key: item for key, item in igwn()["event"].items() if key != "significant"} | {"time": "2026-05-23 22:22:46.654"}
    notice = from_igwn(igwn(alert_type=spelling, event=event, time_created="2026-05-23T22:34:49"))
    assert notice.alert_type == kind
    assert notice.time == datetime(2026, 5, 23, 22, 22, 46, 654_000, tzinfo=UTC)
    assert notice.native_id == f"S260523ab-{spelling.upper().replace('_', '')}-2026-05-23T22:34:49Z"
    assert "significant is missing" in notice.deviations


def test_external_coincidence_without_its_map() -> None:
    coinc = {"gcn_notice_id": 9007199254740993, "observatory": "Fermi", "time_difference": 1.7, "time_coincidence_far": 1e-12}
    notice = from_igwn(parse_object(json.dumps(igwn(external_coinc=coinc)).encode()))
    assert notice.fields["external_coinc.gcn_notice_id"] == "9007199254740993"
    assert notice.fields["external_coinc.observatory"] == "Fermi"
    assert notice.fields["external_coinc.time_difference"] == 1.7


def test_a_cut_map_is_said() -> None:
    notice = from_igwn(igwn(event=igwn()["event"] | {"skymap": "U0lNUExFICA9ICAgICAgICAgICAgICAgICAgICBUIC8gY29uZm..."}))
    assert notice.skymap is None
    assert "skymap is not base64" in notice.deviations[0]


def test_no_superevent_is_refused() -> None:
    with pytest.raises(DecodeError, match="no superevent_id"):
        from_igwn(igwn(superevent_id=""))


SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "igwn.alerts.v1_0.Alert",
        "fields": [
            {"name": "alert_type", "type": "string"},
            {"name": "time_created", "type": "string"},
            {"name": "superevent_id", "type": "string"},
            {
                "name": "event",
                "type": [
                    "null",
                    {
                        "type": "record",
                        "name": "Event",
                        "fields": [
                            {"name": "time", "type": "string"},
                            {"name": "far", "type": "double"},
                            {"name": "skymap", "type": ["null", "bytes"]},
                        ],
                    },
                ],
            },
        ],
    }
)


def ocf(count: int, schema: Any = SCHEMA, *, listed: bool = False) -> bytes:
    stream = BytesIO()
    event = {"time": "2026-05-23T22:22:46.654Z", "far": 1e-9, "skymap": FITS}
    alerts = [igwn(superevent_id=f"S260523{chr(97 + i)}", event=event) for i in range(count)]
    rows: list[Any] = [[alert] for alert in alerts] if listed else alerts
    fastavro.writer(stream, schema, rows, sync_interval=1, sync_marker=b"0123456789abcdef")
    return stream.getvalue()


def test_avro_carries_the_map_as_bytes() -> None:
    alerts, reason = read_ocf(ocf(1))
    assert reason is None
    notice = from_igwn(alerts[0])
    assert (notice.skymap, notice.far) == (FITS, 1e-9)


def test_avro_records_may_be_lists() -> None:
    alerts, reason = read_ocf(ocf(2, {"type": "array", "items": SCHEMA}, listed=True))
    assert reason is None
    assert [alert["superevent_id"] for alert in alerts] == ["S260523a", "S260523b"]


def test_good_blocks_before_a_fault_count_and_one_without_its_marker_does_not() -> None:
    whole = ocf(3)
    alerts, reason = read_ocf(whole[:-8])  # the last sync marker is cut
    assert len(alerts) == 2
    assert reason is not None
    flipped = bytearray(whole)
    flipped[-1] ^= 0xFF
    alerts, reason = read_ocf(bytes(flipped))
    assert len(alerts) == 2
    assert reason is not None


@pytest.mark.parametrize("data", [b"Obj\x01", b"Obj\x01" + b"\xff" * 100, ocf(0)])
def test_containers_with_nothing_in_them(data: bytes) -> None:
    alerts, reason = read_ocf(data)
    assert alerts == []
    assert reason


def check(raw: dict[str, Any]) -> None:
    notice = from_igwn(raw)
    event = raw["event"] or {}
    assert notice.event_name == raw["superevent_id"]
    assert notice.far == event.get("far")
    stated = datetime.fromisoformat(event.get("time") or raw["time_created"]).replace(tzinfo=UTC)
    assert notice.time == stated
    assert notice.alert_tense == "test"
    if event:
        assert notice.classification == max(event["classification"], key=event["classification"].get)
        assert notice.fields["instruments"] == ",".join(event["instruments"])
    else:
        assert notice.alert_type == "retraction"
    skymap = event.get("skymap")
    if isinstance(skymap, str) and "..." not in skymap:
        assert notice.skymap == base64.b64decode(skymap)
    elif isinstance(skymap, bytes):
        assert notice.skymap == skymap


def test_real_alerts(data_dir: Path) -> None:
    files = sorted((data_dir / "gcn" / "igwn").glob("*.json"))
    assert len(files) > 15
    for file in files:
        check(parse_object(file.read_bytes()))
    for file in sorted((data_dir / "gcn" / "igwn_avro").glob("*.avro")):
        alerts, reason = read_ocf(file.read_bytes())
        assert reason is None
        with file.open("rb") as stream:
            assert len(alerts) == len(list(fastavro.reader(stream)))
        for alert in alerts:
            check(alert)


@pytest.mark.parametrize(
    "items", ["null", {"type": "fixed", "name": "none", "size": 0}, {"type": "record", "name": "r", "fields": []}]
)
def test_a_list_of_nothings_fills_no_memory(items: Any) -> None:
    """A count of items that take no bytes can be as large as it likes in a packet of two hundred."""
    fields = [{"name": "superevent_id", "type": "string"}, {"name": "x", "type": {"type": "array", "items": items}}]
    schema = {"type": "record", "name": "a", "fields": fields}
    written = BytesIO()
    fastavro.writer(written, schema, [{"superevent_id": "S1", "x": []}], sync_marker=b"0" * 16)
    endless = written.getvalue().replace(b"\x04\x08\x04S1\x00", b"\x02\x1c\x04S1" + b"\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00")
    alerts, reason = read_ocf(endless)
    assert alerts == []
    assert reason is not None
    assert "take no bytes" in reason


def test_blocks_that_unpack_without_end_are_refused() -> None:
    fields = [{"name": "superevent_id", "type": "string"}, {"name": "x", "type": "bytes"}]
    schema = {"type": "record", "name": "a", "fields": fields}
    written = BytesIO()
    fastavro.writer(written, schema, [{"superevent_id": "S1", "x": bytes(70 << 20)}], codec="deflate")
    assert len(written.getvalue()) < 100_000
    alerts, reason = read_ocf(written.getvalue())
    assert alerts == []
    assert "unpacks to more than" in str(reason)
