"""Records of events, read as any subscriber would."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import pytest

from broker.deliver.events import EVENT, encode_event
from broker.deliver.schema import newest
from broker.store.engine import open_store
from broker.store.events import events_after
from broker.store.migrate import migrate
from tests.notices import igwn, tell


@pytest.mark.parametrize(("name", "topic"), [("S260523ab", "events"), ("MS260523ab", "test.events")])
def test_what_goes_out(tmp_path: Path, name: str, topic: str) -> None:
    store = open_store(f"sqlite:///{tmp_path}/nuncius.db", synchronous="off")
    migrate(store)
    changes = tell(
        store,
        igwn(name, "PRELIMINARY", "2026-05-23T03:26:20Z"),
        igwn(name, "RETRACTION", "2026-05-23T04:26:20Z"),
        stream="lvk",
    )
    asked = [(change.event_name, change.revision) for change in changes]
    first, second = (encode_event(event) for event in events_after(store, asked))
    assert (first.topic, first.key) == (topic, name.encode())
    assert dict(second.headers)["nuncius.revision"] == b"2"
    assert [dict(message.headers)["nuncius.state"] for message in (first, second)] == [b"preliminary", b"retracted"]
    published = newest(EVENT)
    assert first.value[:5] == b"\x00" + published.id.to_bytes(4, "big")
    record = fastavro.schemaless_reader(io.BytesIO(first.value[5:]), fastavro.parse_schema(published.schema), None)
    assert isinstance(record, dict)
    assert (record["event_name"], record["state"], record["revision"], record["real"]) == (
        name,
        "preliminary",
        1,
        topic == "events",
    )
    assert record["time"] == datetime(2026, 5, 23, 3, 25, 45, 670_000, tzinfo=UTC)
    assert record["change"].startswith("preliminary; significant; BNS")
    # Asked again once more has come, the first says what it said.
    assert [encode_event(event) for event in events_after(store, asked)] == [first, second]
