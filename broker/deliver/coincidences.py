"""What is known of a coincidence: a record of ``coincidences``, and bytes of ``raw.coincidence`` that go the way of alerts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from io import BytesIO
from typing import Any, Final

import fastavro

from broker import topics
from broker.deliver.publish import CONTENT_TYPE
from broker.deliver.schema import Published, framing, newest
from broker.record import Message

__all__ = ["COINCIDENCE", "RAW_TYPE", "encode_coincidence", "raw_coincidence", "record_of"]

COINCIDENCE = "nuncius.coincidence"
RAW_TYPE = "application/x-nuncius-coincidence+json"

_MEMBER: Final = ("revision", "kind", "messenger", "mission", "time", "far")


def record_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the schema, from a row as `broker.store.coincidences` has it."""
    members = {
        "event": {"event_name": row["event"], "name": row["event"]},
        "external": {"event_name": row["external"], "name": row["external_name"]},
    }
    for name, member in members.items():
        member |= {field: row[f"{name}_{field}"] for field in _MEMBER}
    return {name: members[name] if name in members else row[name] for name in _names()}


def encode_coincidence(row: Mapping[str, Any]) -> Message:
    """Message of a revision of a coincidence."""
    published, schema = _schema()
    written = BytesIO()
    written.write(framing(published.id))
    fastavro.schemaless_writer(written, schema, record_of(row))
    name = row["event"].encode()
    headers = (
        (topics.HEADER_EVENT, name),
        (topics.HEADER_REVISION, str(row["revision"]).encode()),
        (topics.HEADER_STATE, row["state"].encode()),
        (topics.HEADER_CONTENT_TYPE, CONTENT_TYPE),
    )
    return Message(topics.COINCIDENCES, written.getvalue(), name, headers)


def raw_coincidence(row: Mapping[str, Any]) -> Message:
    """The same for ``raw.coincidence``: JSON; all of one partition, as revisions must be."""
    value = json.dumps({"$schema": "nuncius/coincidence/1/0", "coincidence": record_of(row)}, default=_text, ensure_ascii=False)
    headers = (
        (topics.HEADER_ORIGIN, f"nuncius:coincidences/{row['id']}/{row['revision']}".encode()),
        (topics.HEADER_CONTENT_TYPE, RAW_TYPE.encode()),
        (topics.HEADER_RECEIVED, row["computed"].isoformat(timespec="microseconds").encode()),
    )
    return Message(topics.raw(topics.COINCIDENCE_STREAM), value.encode(), topics.COINCIDENCE_STREAM.encode(), headers)


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} in a coincidence")


@cache
def _names() -> tuple[str, ...]:
    return tuple(field["name"] for field in newest(COINCIDENCE).schema["fields"])


@cache
def _schema() -> tuple[Published, Any]:
    published = newest(COINCIDENCE)
    return published, fastavro.parse_schema(published.schema)
