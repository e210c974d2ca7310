"""Synthetic survey packets for the tests of `broker.decode`."""

from __future__ import annotations

import io
from typing import Any

import fastavro

from broker.decode.declaration import load_declarations
from broker.paths import shipped
from broker.record import Record

STREAMS = load_declarations(shipped("schemas") / "streams")

_CUTOUT = {
    "type": "record",
    "name": "cutout",
    "fields": [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
}

ZTF = {
    "type": "record",
    "name": "alert",
    "namespace": "ztf",
    "fields": [
        {"name": "schemavsn", "type": "string"},
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": ["long", "null"]},
        {
            "name": "candidate",
            "type": {
                "type": "record",
                "name": "candidate",
                "namespace": "ztf.alert",
                "fields": [
                    {"name": "candid", "type": ["null", "long"]},
                    {"name": "jd", "type": "double"},
                    {"name": "fid", "type": "int"},
                    {"name": "rcid", "type": ["null", "int"]},
                    {"name": "isdiffpos", "type": "string"},
                    {"name": "ra", "type": ["null", "double"]},
                    {"name": "dec", "type": "double"},
                    {"name": "magpsf", "type": "float"},
                    {"name": "sigmapsf", "type": "float"},
                    {"name": "rb", "type": ["null", "float"]},
                    {"name": "drb", "type": ["null", "float"]},
                    {"name": "distnr", "type": ["null", "float"]},
                ],
            },
        },
        {
            "name": "prv_candidates",
            "type": [
                "null",
                {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "prv_candidate",
                        "fields": [
                            {"name": "jd", "type": "double"},
                            {"name": "fid", "type": "int"},
                            {"name": "pdiffimfilename", "type": ["null", "string"]},
                            {"name": "isdiffpos", "type": ["null", "string"]},
                            {"name": "magpsf", "type": ["null", "float"]},
                            {"name": "sigmapsf", "type": ["null", "float"]},
                            {"name": "diffmaglim", "type": ["null", "float"]},
                        ],
                    },
                },
            ],
        },
        {"name": "cutoutScience", "type": ["null", _CUTOUT]},
    ],
}


def ztf(candid: int | None = 1, **changes: Any) -> dict[str, Any]:
    """A ZTF-like record; changes to the candidate by name, to the record by name with an underscore before."""
    candidate = {
        "candid": candid, "jd": 2_460_000.75, "fid": 1, "rcid": 3, "isdiffpos": "t", "ra": 10.5, "dec": -20.25, "magpsf": 18.5,
        "sigmapsf": 0.125, "rb": 0.75, "drb": 0.5, "distnr": 1.5,
    }  # fmt: skip
    candidate |= {name: value for name, value in changes.items() if not name.startswith("_")}
    history = [
        {"jd": 2_459_990.5, "fid": 2, "pdiffimfilename": "x", "isdiffpos": "f", "magpsf": 19.0, "sigmapsf": 0.25},
        {"jd": 2_459_991.5, "fid": 1, "pdiffimfilename": None, "isdiffpos": None, "magpsf": None, "sigmapsf": None},
    ]
    history = [item | {"diffmaglim": limit} for item, limit in zip(history, (20.5, 20.0), strict=True)]
    record = {
        "schemavsn": "9.9", "objectId": "ZTF99test", "candid": candid, "candidate": candidate, "prv_candidates": history,
        "cutoutScience": {"fileName": "a.fits", "stampData": b"SIMPLE" * 40},
    }  # fmt: skip
    return record | {name[1:]: value for name, value in changes.items() if name.startswith("_")}


def container(records: list[Any], schema: Any = ZTF, *, codec: str = "null", interval: int = 16_000) -> bytes:
    """An object container; a small interval makes a block of each record."""
    out = io.BytesIO()
    fastavro.writer(
        out, fastavro.parse_schema(schema, _force=True), records, codec=codec, sync_interval=interval, sync_marker=b"s" * 16
    )
    return out.getvalue()


def bare(record: Any, schema: Any) -> bytes:
    """The record's bytes alone."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema, _force=True), record)
    return out.getvalue()


def framed(record: Any, schema: Any, schema_id: int) -> bytes:
    """The record behind a Confluent header."""
    return b"\x00" + schema_id.to_bytes(4, "big") + bare(record, schema)


def records(*packets: bytes) -> list[Record]:
    """Packets as the log gives them."""
    return [Record("raw.test", 0, number, 0, None, packet) for number, packet in enumerate(packets)]


class Schemas:
    """Schemas by id and for bare records, and what was seen of them."""

    def __init__(self, by_id: dict[int, Any] | None = None, candidates: list[Any] | None = None) -> None:
        self._by_id = by_id or {}
        self._candidates = candidates or []
        self.met: list[tuple[str, str]] = []

    def by_id(self, stream: str, schema_id: int) -> Any:
        from broker.errors import SchemaUnavailableError

        if schema_id not in self._by_id:
            raise SchemaUnavailableError(f"schema {schema_id} of stream {stream} cannot be had: not here")
        return self._by_id[schema_id]

    def candidates(self, _stream: str) -> list[Any]:
        return self._candidates

    def seen(self, stream: str, _schema: Any, how: str) -> None:
        self.met.append((stream, how))
