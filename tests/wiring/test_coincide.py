"""Coincidences from notices on the log to topics, filters, the database and the API."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from broker import topics
from broker.api.app import create_app
from broker.decode.notices import decode_notices
from broker.deliver.schema import load_published
from broker.paths import shipped
from broker.record import Message, Record
from broker.science.coincidence import YEAR
from broker.settings import Settings
from broker.simulate import gcn, lvk
from broker.store import coincidences, events
from broker.store.revisions import EventChange
from broker.wiring import running, serving
from broker.wiring.coincide import coincide
from broker.wiring.parts import Parts, open_parts

TRIGGER = datetime(2026, 8, 1, 4, 5, 6, tzinfo=UTC)
PLACE = (120.0, -20.0)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Parts]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    settings = Settings.model_validate({"store": {"url": url, "durable": False}, "log": {"durable": False, "partitions": 1}})
    with open_parts(settings, tmp_path / "data") as opened:
        yield opened


def merger(*, mock: bool = False, retract: bool = False, place: tuple[float, float] = PLACE) -> tuple[str, list[bytes]]:
    event = lvk.make_event(np.random.default_rng(5), TRIGGER, place=place, mock=mock)
    return event.name, [packet.data for packet in lvk.notices(event, retract=retract)]


def burst(seconds: float = 1.7, *, tense: str = "current", place: tuple[float, float] = PLACE) -> list[bytes]:
    made = gcn.burst(np.random.default_rng(6), TRIGGER + timedelta(seconds=seconds), place, tense=tense, long=False)
    return [packet.data for packet in made]


def take(parts: Parts, stream: str, *packets: bytes) -> None:
    parts.log.append([Message(topics.raw(stream), packet) for packet in packets])
    running.drain(parts, lambda _records: None)


def told(parts: Parts, topic: str = topics.COINCIDENCES) -> list[dict[str, Any]]:
    schemas = {one.id: fastavro.parse_schema(one.schema) for one in load_published(shipped("schemas"))}
    if topic not in parts.log.topics():
        return []
    with closing(parts.log.consumer(None, [topic])) as consumer:
        records: list[Record] = []
        while found := consumer.poll(1000, 1 << 26, 0.3):
            records += found
    read = []
    for record in records:
        schema = schemas[int.from_bytes(record.value[1:5], "big")]
        read.append(fastavro.schemaless_reader(io.BytesIO(record.value[5:]), schema, None))
    return read  # type: ignore[return-value]


def test_a_burst_right_after_a_merger(parts: Parts) -> None:
    name, notices = merger()
    take(parts, "lvk", notices[2])
    assert told(parts) == []
    take(parts, "gcn", burst()[2])
    (pair,) = told(parts)
    assert (pair["first_event"], pair["kind"], pair["state"], pair["real"]) == (name, "GRB_CBC", "live", True)
    assert pair["dt"] == pytest.approx(1.7, abs=1e-3)
    far = events.get_event(parts.store, name)["far"]
    assert pair["far_temporal"] == pytest.approx(6.0 * 325.0 / YEAR * far)
    assert pair["overlap"] > 1.0
    assert pair["far_space_time"] == pytest.approx(pair["far_temporal"] / pair["overlap"])
    event = events.get_event(parts.store, name)
    assert 0.0 < pair["area90"] < event["area90"]
    assert pair["distmean"] is not None
    (match,) = told(parts, topics.matched("multimessenger_pairs"))
    assert match["annotations"]["coincidence.kind"] == "GRB_CBC"
    assert match["ra"] == pytest.approx(pair["ra"])


def test_revisions_are_reckoned_anew_and_a_retraction_is_told(parts: Parts) -> None:
    name, notices = merger(retract=True)
    take(parts, "gcn", *burst())
    for notice in notices:
        take(parts, "lvk", notice)
    pairs = told(parts)
    assert [pair["revision"].split(".")[0] for pair in pairs] == ["1", "2", "3", "4", "5"]
    assert [pair["state"] for pair in pairs] == ["live"] * 4 + ["retracted"]
    assert pairs[-1]["reason"] == f"{name} is retracted"
    assert len({pair["overlap"] for pair in pairs[:4]}) == 4
    (kept,) = coincidences.of_event(parts.store, name)
    assert (kept["state"], kept["publishable"]) == ("retracted", False)
    take(parts, "gcn", burst(1.8)[0])
    assert len([pair for pair in told(parts) if pair["first_event"] == name and pair["state"] == "live"]) == 4


@pytest.mark.parametrize(("seconds", "close"), [(-0.9, True), (-1.5, False), (4.9, True), (5.5, False)])
def test_the_window(parts: Parts, seconds: float, close: bool) -> None:
    take(parts, "lvk", merger()[1][2])
    take(parts, "gcn", burst(seconds)[2])
    assert bool(told(parts)) == close


def test_far_apart_on_the_sky(parts: Parts) -> None:
    take(parts, "lvk", merger()[1][3])
    take(parts, "gcn", burst(place=(300.0, 20.0))[3])
    (pair,) = told(parts)
    assert pair["far_temporal"] is not None
    assert pair["overlap"] < 1e-3
    assert not pair["publishable"]
    assert told(parts, topics.matched("multimessenger_pairs")) == []


def test_without_a_position_there_is_only_time(parts: Parts) -> None:
    take(parts, "lvk", merger()[1][2])
    take(parts, "gcn", burst()[0])  # the first alert of a burst says no place
    (pair,) = told(parts)
    assert (pair["far_space_time"], pair["overlap"], pair["reason"]) == (None, None, "one of the events has no sky map")
    assert pair["far_temporal"] > 0.0


def test_tests_never_meet_true_events(parts: Parts) -> None:
    take(parts, "lvk", *merger(mock=True)[1])
    take(parts, "gcn", *burst())
    take(parts, "gcn", *burst(1.9, tense="test"))
    assert told(parts) == []


def test_a_batch_done_again_says_the_same(parts: Parts) -> None:
    name, notices = merger()
    take(parts, "gcn", burst()[2])
    take(parts, "lvk", notices[2])
    event = events.get_event(parts.store, name)
    change = EventChange(name, event["alert_id"], event["revision"], map_changed=True, retracted=False, real=True)
    first, again = (coincide(parts, [change]) for _ in range(2))
    assert [(message.topic, message.value) for message in first] == [(message.topic, message.value) for message in again]
    before = len(told(parts, topics.alerts("coincidence")))
    parts.log.append(first)
    running.drain(parts, lambda _records: None)
    assert len(told(parts, topics.alerts("coincidence"))) == before


def test_an_event_that_moves_away_ends_the_pair(parts: Parts) -> None:
    take(parts, "lvk", merger()[1][2])
    early, late = (json.loads(burst()[2]) for _ in range(2))
    late["trigger_time"] = (TRIGGER + timedelta(seconds=90)).isoformat()
    late["alert_datetime"] = (TRIGGER + timedelta(hours=2)).isoformat()
    late["record_number"] += 5
    take(parts, "gcn", json.dumps(early).encode())
    take(parts, "gcn", json.dumps(late).encode())
    states = [(pair["state"], pair["reason"]) for pair in told(parts)]
    assert [state for state, _ in states] == ["live", "retracted"]
    assert "no longer close" in str(states[-1][1])


def test_over_the_api(parts: Parts) -> None:
    name, notices = merger()
    take(parts, "lvk", notices[2])
    take(parts, "gcn", burst()[2])
    client: httpx.Client = TestClient(create_app(serving.services(parts)))
    (item,) = client.get("/api/v1/coincidences").json()["items"]
    assert item["first_event"] == name
    assert client.get(f"/api/v1/events/{name.lower()}/coincidences").json()["items"] == [item]
    assert client.get(f"/api/v1/events/{item['second_event']}/coincidences").json()["items"] == [item]
    assert client.get("/api/v1/coincidences?start=2027-01-01").json()["items"] == []
    assert client.get("/api/v1/events/nothing/coincidences").status_code == 404
    parts.log.close()


def test_what_is_not_as_we_write_it_is_rejected() -> None:
    record = Record("raw.coincidence", 0, 0, 0, None, b'{"nuncius": "coincidence/1.0", "id": "a+b"}')
    batch = decode_notices("coincidence", [record], frozenset())
    assert batch.frame.is_empty()
    assert "not as Nuncius writes them" in batch.rejected[0].reason
