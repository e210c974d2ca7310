"""Our own messages read back: the Confluent frame, the Avro record in it, and the match it stands for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import fastavro

from broker.api.convert import alert_of
from broker.api.models import Match
from broker.api.services import PublishedSchema
from broker.errors import DecodeError
from broker.record import Record, header
from broker.telemetry import get_logger
from broker.topics import HEADER_EVENT, HEADER_FILTER, HEADER_FILTER_VERSION, HEADER_UPDATE, matched

__all__ = ["match_reader", "reader"]

_log = get_logger(__name__)


def reader(schemas: Sequence[PublishedSchema]) -> Callable[[bytes], dict[str, Any]]:
    """Function that reads a message written with one of `schemas`.

    Raises
    ------
    DecodeError
        By the function, where the message is not framed so, or by another schema.
    """
    parsed = {schema.id: fastavro.parse_schema(json.loads(schema.schema)) for schema in schemas if schema.type == "AVRO"}

    def read(value: bytes) -> dict[str, Any]:
        if len(value) < 5 or value[0] != 0:
            raise DecodeError("the message does not begin as Confluent has it (a zero byte and a schema id)")
        schema_id = int.from_bytes(value[1:5])
        if schema_id not in parsed:
            message = f"the message was written with schema {schema_id}, which is none of ours"
            raise DecodeError(message)
        record = fastavro.schemaless_reader(io.BytesIO(value[5:]), parsed[schema_id], None)
        assert isinstance(record, dict)
        return record

    return read


def match_reader(schemas: Sequence[PublishedSchema]) -> Callable[[Record], Match | None]:
    """Function that reads a record of a ``matched.*`` topic; ``None``, and a line in the log, where it cannot be read."""
    read = reader(schemas)

    def match(record: Record) -> Match | None:
        try:
            alert = alert_of(read(record.value))
        except Exception as error:  # noqa: BLE001 - whatever stands in one message, the stream goes on
            _log.warning(
                "match cannot be read", topic=record.topic, partition=record.partition, offset=record.offset, reason=str(error)
            )
            return None
        name = header(record, HEADER_FILTER) or record.topic.removeprefix(matched(""))
        version = header(record, HEADER_FILTER_VERSION) or ""
        time = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        match = Match(filter=name, version=version, time=time, alert=alert)
        if (update := header(record, HEADER_UPDATE)) is not None:
            match.update, match.update_event = update, header(record, HEADER_EVENT)
        return match

    return match
