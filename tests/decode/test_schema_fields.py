"""What a schema says of its fields."""

from __future__ import annotations

import io
from pathlib import Path

import fastavro
import pytest

from broker.decode.program import compile_program, field_paths
from broker.decode.schema_fields import SchemaField, fields_of
from broker.decode.schemas import LsstPackage
from broker.simulate import ztf_schema

CUT = {"type": "record", "name": "cut", "fields": [{"name": "data", "type": "bytes"}, {"name": "size", "type": "int"}]}
SCHEMA = {
    "type": "record",
    "name": "alert",
    "namespace": "x",
    "fields": [
        {"name": "id", "type": "long", "doc": "Number of the alert."},
        {"name": "flux", "type": ["null", "float"], "doc": "Flux in an aperture,\n  as measured [nJy]. More of it."},
        {"name": "when", "type": {"type": "long", "logicalType": "timestamp-micros"}, "doc": "[days] first"},
        {"name": "kind", "type": {"type": "enum", "name": "kind", "symbols": ["a", "b"]}},
        {"name": "either", "type": ["null", "int", "string"]},
        {"name": "first", "type": ["null", CUT], "default": None},
        {"name": "second", "type": ["null", "cut"], "default": None},
        {"name": "history", "type": {"type": "array", "items": "cut"}},
        {"name": "good", "type": {"type": "boolean"}, "doc": "whether [1] it is [unitless]"},
    ],
}


def test_types_units_and_meanings() -> None:
    assert fields_of(SCHEMA) == {
        "id": SchemaField("integer", "", "Number of the alert"),
        "flux": SchemaField("number", "nJy", "Flux in an aperture, as measured. More of it"),
        "when": SchemaField("time", "d", "first"),
        "kind": SchemaField("text", "", ""),
        "either": SchemaField("unknown", "", ""),
        "first.data": SchemaField("bytes", "", ""),
        "first.size": SchemaField("integer", "", ""),
        "second.data": SchemaField("bytes", "", ""),
        "second.size": SchemaField("integer", "", ""),
        "good": SchemaField("boolean", "1", "whether it is [unitless]"),
    }


def test_what_is_no_record() -> None:
    for schema in ("string", ["null", "int"], {"type": "array", "items": "int"}, None):
        with pytest.raises(ValueError, match="not one of a record"):
            fields_of(schema)


def test_one_that_holds_itself_ends() -> None:
    schema = {"type": "record", "name": "a", "fields": [{"name": "x", "type": "int"}, {"name": "next", "type": ["null", "a"]}]}
    found = fields_of(schema)
    assert {"x", "next.x", "next.next.x"} <= found.keys()
    assert len(found) < 20


@pytest.mark.parametrize("schema", [ztf_schema.schema(), *LsstPackage().candidates("lsst")], ids=lambda one: str(one["name"]))
def test_fields_are_those_that_can_be_read(schema: dict[str, object]) -> None:
    read = {column.path for column in compile_program(schema, field_paths(schema)).columns if column.cursor == 0}
    assert fields_of(schema).keys() == read


@pytest.mark.data
def test_fields_of_real_packets(data_dir: Path) -> None:
    checked = 0
    for file in sorted(data_dir.rglob("*.avro")):
        try:
            schema = fastavro.reader(io.BytesIO(file.read_bytes())).writer_schema
        except (ValueError, EOFError, StopIteration, IndexError, KeyError):
            continue
        if not isinstance(schema, dict) or "superevent_id" in str(schema) or checked > 200:
            continue
        read = {column.path for column in compile_program(schema, field_paths(schema)).columns if column.cursor == 0}
        assert fields_of(schema).keys() == read, file
        checked += 1
    assert checked > 50
