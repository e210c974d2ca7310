"""Records into alerts, without any broker."""

from __future__ import annotations

import http.server
import json
import threading
from datetime import UTC, datetime

import pytest

from consumers import BadRecordError, PacketAddress, RequestError, SchemaError, SkyMapLevel, UnavailableError
from consumers.alert import alert_from
from consumers.schemas import SchemaBook
from consumers.sse import Event, events, lines
from tests.consumers.conftest import SCHEMA, value


def test_a_record_becomes_a_typed_alert():
    alert = alert_from(SchemaBook().read(value(7)), topic="matched.x", partition=0, offset=3)
    assert (alert.alert_id, alert.stream, alert.object_id) == ("ztf:7", "ztf", "ZTF260000007")
    assert alert.time == datetime(2026, 11, 21, 4, 0, 7, tzinfo=UTC)
    assert alert.hpx == 2**60 + 7
    assert alert.annotations == {"gaia.sep": 1.5, "candidate.ndethist": 2**60 + 7}
    assert alert.skymaps == (SkyMapLevel("S261121a", 2, 0.4, 3.0, 600.0),)
    assert alert.filters == ("bright-transient",)
    assert alert.archive == PacketAddress("ztf/a.avro", 120, 76000, 0)
    assert alert.mission is None


def test_the_packet_itself_is_handed_on():
    assert alert_from(SchemaBook().read(value(1, packet=b"Obj\x01..."))).packet == b"Obj\x01..."


def test_json_of_the_api_reads_the_same():
    alert = alert_from(
        {"alert_id": "lvk:S1", "stream": "lvk", "time": "2026-11-21T04:00:00.000001Z", "hpx": "5", "annotations": {}}
    )
    assert alert.time == datetime(2026, 11, 21, 4, 0, 0, 1, tzinfo=UTC)
    assert alert.hpx == 5


def test_a_record_commits_only_where_there_is_a_group():
    with pytest.raises(RequestError, match="group"):
        alert_from({"alert_id": "a:1"}).commit()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Confluent"),
        (b"{}", "Confluent"),
        (value(1)[:-20], "not an Avro record"),
        (value(1) + b"\x00", "left after"),
        (b"\x00\x00\x00\x00\x01" + b"\xff" * 40, "not an Avro record"),
    ],
)
def test_bad_bytes_are_told(data, says):
    with pytest.raises(BadRecordError, match=says):
        SchemaBook().read(data)


def test_an_id_we_do_not_have_is_a_schema_error():
    with pytest.raises(SchemaError, match="schema 77 did not come with this client"):
        SchemaBook().read(b"\x00\x00\x00\x00\x4d" + value(1)[5:])


def test_a_schema_handed_in_is_used_whatever_the_id():
    assert SchemaBook(schema=SCHEMA).read(b"\x00\x00\x00\x00\x4d" + value(1)[5:])["alert_id"] == "ztf:1"


@pytest.mark.parametrize(
    "record", [{}, {"alert_id": ""}, {"alert_id": "a:1", "time": "noon"}, {"alert_id": "a:1", "skymaps": [3]}]
)
def test_records_that_are_no_alerts_are_refused(record):
    with pytest.raises(BadRecordError):
        alert_from(record)


class _Registry(http.server.BaseHTTPRequestHandler):
    asked: list[str] = []  # noqa: RUF012 - one list for all requests is wanted

    def do_GET(self):
        self.asked.append(self.path)
        body = json.dumps({"schema": json.dumps(SCHEMA)} if self.path.endswith("/5") else {"error_code": 40403}).encode()
        self.send_response(200 if self.path.endswith("/5") else 503 if self.path.endswith("/9") else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def registry():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    _Registry.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}/registry"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_registry_is_asked_once_an_id(registry):
    book = SchemaBook(registry)
    for number in range(3):
        assert book.read(b"\x00\x00\x00\x00\x05" + value(number)[5:])["alert_id"] == f"ztf:{number}"
    assert _Registry.asked == ["/registry/schemas/ids/5"]


def test_a_registry_without_the_schema_is_not_one_that_is_away(registry):
    with pytest.raises(SchemaError, match="schema 6"):
        SchemaBook(registry).read(b"\x00\x00\x00\x00\x06")
    with pytest.raises(UnavailableError, match="503"):
        SchemaBook(registry).read(b"\x00\x00\x00\x00\x09")
    with pytest.raises(UnavailableError, match="does not answer"):
        SchemaBook("http://127.0.0.1:1").read(b"\x00\x00\x00\x00\x09")


def test_server_sent_events_are_taken_apart():
    lines = [
        "event: ready",
        "id: a",
        "data: {}",
        "",
        ": heartbeat",
        "",
        "event: match",
        "id: b",
        'data: {"x":',
        "data: 1}",
        "",
        "data: torn",
    ]
    assert list(events(lines)) == [Event("ready", "{}", "a"), Event("match", '{"x":\n1}', "b")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_end_where_the_standard_has_them_end(size: int) -> None:
    text = 'event: match\r\ndata: {"subject": "a\u2028b\u2029c\u0085d\x0be"}\n\nid: 1\rdata: x\r\r\n'
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    expected = ["event: match", 'data: {"subject": "a\u2028b\u2029c\u0085d\x0be"}', "", "id: 1", "data: x", ""]
    assert list(lines(pieces)) == expected
