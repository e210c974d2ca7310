"""What was known of an event after a notice, as a record of ``events`` or, for tests and mock events, of ``test.events``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from io import BytesIO
from typing import Any

import fastavro

from broker import topics
from broker.deliver.publish import CONTENT_TYPE
from broker.deliver.schema import Published, framing, newest
from broker.record import Message

__all__ = ["EVENT", "encode_event"]

EVENT = "nuncius.event"


def encode_event(event: Mapping[str, Any]) -> Message:
    """Message of an event.

    Parameters
    ----------
    event
        As `broker.store.events.events_after` has it.
    """
    published, schema = _schema()
    written = BytesIO()
    written.write(framing(published.id))
    fastavro.schemaless_writer(written, schema, {field["name"]: event[field["name"]] for field in published.schema["fields"]})
    name = event["event_name"].encode()
    headers = (
        (topics.HEADER_EVENT, name),
        (topics.HEADER_REVISION, str(event["revision"]).encode()),
        (topics.HEADER_STATE, event["state"].encode()),
        (topics.HEADER_CONTENT_TYPE, CONTENT_TYPE),
    )
    return Message(topics.EVENTS if event["real"] else topics.TEST_EVENTS, written.getvalue(), name, headers)


@cache
def _schema() -> tuple[Published, Any]:
    published = newest(EVENT)
    return published, fastavro.parse_schema(published.schema)
