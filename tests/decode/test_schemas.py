"""Sources of schemas: the installed package, a registry over HTTP, a chain of both."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

import fastavro
import pytest

from broker.decode.schemas import Chain, LsstPackage, RegistrySource, fingerprint_of
from broker.errors import SchemaUnavailableError, TransientError
from tests.decode.survey_packets import ZTF


class Registry(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        Registry.asked.append(self.path)
        number = int(self.path.rsplit("/", 1)[1])
        bodies = {
            1: {"schema": json.dumps(ZTF)},
            2: {"schema": "{", "schemaType": "AVRO"},
            3: {"schema": "", "schemaType": "PROTOBUF"},
        }
        status = 500 if number == 500 else 200 if number in bodies else 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(bodies.get(number, {"error_code": 40403})).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def registry():
    Registry.asked = []
    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_registry_is_asked_once(registry):
    source = RegistrySource(registry + "/")
    assert source.by_id("ztf", 1) == ZTF
    assert source.by_id("ztf", 1) == ZTF
    assert Registry.asked == ["/schemas/ids/1"]


def test_registry_answers(registry):
    source = RegistrySource(registry)
    with pytest.raises(SchemaUnavailableError, match=r"schema 9 of stream ztf cannot be had: .*does not have it"):
        source.by_id("ztf", 9)
    with pytest.raises(SchemaUnavailableError, match="not Avro"):
        source.by_id("ztf", 3)
    with pytest.raises(TransientError, match="no schema"):
        source.by_id("ztf", 2)
    with pytest.raises(TransientError, match="answered 500"):
        source.by_id("ztf", 500)


def test_registry_away():
    with pytest.raises(TransientError, match="cannot be reached"):
        RegistrySource("http://127.0.0.1:9", timeout=2.0).by_id("ztf", 1)


def test_package_has_every_version():
    package = LsstPackage()
    assert {700, 701, 702, 703, 704, 800, 900, 1000, 1100, 1101} <= package.versions.keys()
    assert list(package.versions) == sorted(package.versions, reverse=True)
    for number, schema in zip(package.versions, package.candidates("lsst"), strict=True):
        name = fastavro.parse_schema(schema)["name"]
        assert name == f"lsst.v{number // 100}_{number % 100}.alert"
    with pytest.raises(SchemaUnavailableError, match=r"no version 12\.34; update it"):
        package.by_id("lsst", 1234)
    with pytest.raises(SchemaUnavailableError):
        package.by_id("ztf", 1100)


def test_chain_asks_in_order(registry):
    chain = Chain([LsstPackage(), RegistrySource(registry)])
    assert chain.by_id("lsst", 1) == ZTF
    assert chain.by_id("lsst", 1100)["name"] == "alert"
    with pytest.raises(SchemaUnavailableError, match=r"schema 9999 of stream lsst cannot be had: .*; .*does not have it"):
        chain.by_id("lsst", 9999)
    with pytest.raises(TransientError):
        Chain([LsstPackage(), RegistrySource("http://127.0.0.1:9", timeout=2.0)]).by_id("lsst", 9999)
    with pytest.raises(SchemaUnavailableError, match="no source of schemas is set"):
        Chain([]).by_id("lsst", 1)


def test_new_schemas_are_told_of_once():
    told = []
    again = json.loads(json.dumps(ZTF))
    chain = Chain([], lambda *what: told.append(what))
    for schema in (ZTF, ZTF, again):
        chain.seen("ztf", schema, "container")
    assert told == [("ztf", ZTF, "container", fingerprint_of(ZTF))]
    known = Chain([], lambda *what: told.append(what), {"ztf": {fingerprint_of(ZTF)}})
    known.seen("ztf", ZTF, "container")
    assert len(told) == 1
    known.seen("other", ZTF, "container")
    assert len(told) == 2


def test_fingerprint_of_what_fastavro_refuses():
    twice = {"type": "record", "name": "t", "fields": [{"name": "v", "type": "long"}]}
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": twice}, {"name": "b", "type": twice}]}
    assert len(fingerprint_of(schema)) == 16
