"""From packets on the log to the topic, the filter, the database, the API's verbs; processed anew from the raw topic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from broker.cli.app import app
from broker.record import Message, Record
from broker.settings import CoincidencesTable, LogTable, Settings, StoreTable
from broker.simulate import gcn, lvk
from broker.store import coincidences, events
from broker.wiring import reading, running
from broker.wiring.live_maps import load_map
from broker.wiring.parts import Parts, open_parts
from consumers.alert import alert_from
from consumers.schemas import SchemaBook

T0 = datetime(2026, 8, 1, 4, tzinfo=UTC)


def settings(**table: Any) -> Settings:
    return Settings(
        log=LogTable(durable=False, partitions=1), store=StoreTable(durable=False), coincidences=CoincidencesTable(**table)
    )


def append(parts: Parts, topic: str, *packets: bytes) -> None:
    parts.log.append([Message(topic, packet) for packet in packets])
    running.drain(parts, lambda _records: None)


def on(parts: Parts, topic: str) -> Sequence[Record]:
    found: list[Record] = []
    with closing(parts.log.consumer(None, [topic], "earliest")) as consumer:
        while records := consumer.poll(10_000, 64 << 20, 0.3):
            found += records
    return found


@pytest.fixture
def night() -> tuple[lvk.Event, list[bytes], list[bytes]]:
    """A merger and a burst 2 s later at its place, by their notices."""
    rng = np.random.default_rng(3)
    event = lvk.make_event(rng, T0)
    burst = gcn.burst(rng, T0 + timedelta(seconds=2), (event.ra, event.dec), tense="current")
    return event, [packet.data for packet in lvk.notices(event, retract=True)], [packet.data for packet in burst]


def test_a_merger_and_a_burst_two_seconds_later(night: tuple[lvk.Event, list[bytes], list[bytes]], tmp_path: Path) -> None:
    event, waves, burst = night
    data, book = tmp_path / "data", SchemaBook(None, None)
    with open_parts(settings(), data) as parts:
        append(parts, "raw.lvk", waves[1])
        assert on(parts, "coincidences") == []
        append(parts, "raw.gcn", *burst)
        append(parts, "raw.lvk", waves[3])
        told = [book.read(record.value) for record in on(parts, "coincidences")]
        assert {(each["event"]["name"], each["dt"], each["window"]) for each in told} == {(event.name, 2.0, "grb_cbc")}
        assert [each["revision"] for each in told] == list(range(1, len(told) + 1))
        last = told[-1]
        assert (last["state"], last["real"], last["publishable"]) == ("live", True, True)
        assert last["far_temporal"] == pytest.approx(5.626902587519026e-18)  # as ligo-raven 3.3 has it
        assert last["far_space_time"] == pytest.approx(last["far_temporal"] / last["overlap"])
        assert last["distmean"] == pytest.approx(event.distance, rel=0.3)
        (row,) = coincidences.list_coincidences(parts.store).coincidences
        combined = load_map(parts, row["map_path"])
        assert combined.is_3d
        assert combined.facts.distmean == last["distmean"]

        matches = on(parts, "matched.joint_candidates")
        alerts = [alert_from(book.read(one.value), topic=one.topic, headers=one.headers) for one in matches]
        assert [alert.alert_id for alert in alerts] == [f"coincidence:{last['id']}:{each['revision']}" for each in told]
        assert alerts[-1].far == pytest.approx(last["far_space_time"])
        asked = reading.Query("coincidence.overlap > 1", streams=("coincidence",), columns=("coincidence.dt",))
        assert set(reading.query(parts, asked)["coincidence.dt"].to_list()) == {2.0}
        assert {each["event_name"] for each in events.list_events(parts.store).events} == {event.name, last["external"]["name"]}

        append(parts, "raw.lvk", waves[4])
        gone = book.read(on(parts, "coincidences")[-1].value)
        assert (gone["state"], gone["message"]) == ("retracted", f"{event.name} retracted")
        assert len(on(parts, "matched.joint_candidates")) == len(told) + 1
        raw = [record.value for record in on(parts, "raw.coincidence")]
        assert len(raw) == len(told) + 1
        assert on(parts, "dead-letter") == []

    shown = CliRunner().invoke(app, ["--data", str(data), "event", "coincidences", event.name, "--json"])
    (found,) = json.loads(shown.stdout)
    assert (found["state"], found["dt"], found["event"]["name"]) == ("retracted", 2.0, event.name)
    assert CliRunner().invoke(app, ["--data", str(data), "event", "coincidences", event.name]).exit_code == 0

    with open_parts(settings(), tmp_path / "anew") as parts:  # what was told can be processed anew
        append(parts, "raw.coincidence", *raw)
        assert len(on(parts, "matched.joint_candidates")) == len(raw)
        assert on(parts, "coincidences") == []
        assert events.list_events(parts.store).events == []


def test_mock_events_are_nobodys_business_unless_wanted(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    event = lvk.make_event(rng, T0, mock=True)
    waves = [packet.data for packet in lvk.notices(event)]
    for tense, tests, number in (("current", True, 0), ("test", False, 0), ("test", True, 2)):
        burst = list(gcn.burst(rng, T0 + timedelta(seconds=2), (event.ra, event.dec), tense=tense))
        with open_parts(settings(tests=tests), tmp_path / f"{tense}{tests}") as parts:
            append(parts, "raw.lvk", waves[1])
            append(parts, "raw.gcn", burst[0].data)
            append(parts, "raw.gcn", burst[1].data)
            told = [SchemaBook(None, None).read(record.value) for record in on(parts, "coincidences")]
            assert len(told) == number
            assert not any(each["real"] or each["publishable"] for each in told)
