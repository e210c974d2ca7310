"""From packets on the log to a subscriber's topic: first telling, another level, retraction."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from broker.api.app import create_app
from broker.cli.app import run
from broker.record import Message
from broker.settings import AssociateTable, LogTable, Settings, StoreTable
from broker.simulate import lvk, ztf
from broker.store import association_pages, events
from broker.wiring import reading, running, serving
from broker.wiring.parts import Parts, open_parts
from consumers.alert import Alert, alert_from
from consumers.schemas import SchemaBook

START = datetime(2026, 8, 1, 4, tzinfo=UTC)
FILTER = """
name = "followup"
version = 1
stream = "ztf"
description = "Whatever lies in a gravitational-wave map."
where = "gw.credible_level <= 0.99"
"""


def opened(data: Path, **table: bool) -> Settings:
    (data / "filters").mkdir(parents=True)
    (data / "filters" / "followup.toml").write_text(FILTER)
    return Settings(
        filters="filters",
        log=LogTable(durable=False, partitions=1),
        store=StoreTable(durable=False),
        associate=AssociateTable(**table),
    )


def append(parts: Parts, topic: str, *packets: bytes) -> None:
    parts.log.append([Message(topic, packet) for packet in packets])
    running.drain(parts, lambda _records: None)


def told(parts: Parts) -> list[Alert]:
    book, found = SchemaBook(None, None), []
    with closing(parts.log.consumer(None, ["matched.followup"], "earliest")) as consumer:
        while records := consumer.poll(10_000, 64 << 20, 0.5):
            found += [alert_from(book.read(one.value), topic=one.topic, headers=one.headers) for one in records]
    return found


def test_a_subscriber_hears_of_it_all(tmp_path: Path) -> None:
    packets = [packet.data for packet in ztf.packets(5, 60, START, cutouts=False, history=2)]
    with open_parts(opened(tmp_path / "data"), tmp_path / "data") as parts:
        append(parts, "raw.ztf", *packets)
        before = reading.query(parts, reading.Query("ra IS NOT NULL"))
        spot = before.select("ra", "dec").row(0)
        rng = np.random.default_rng(3)
        event = lvk.make_event(rng, START - timedelta(hours=2), place=spot, width=0.6, length=1.0)
        sent = [packet.data for packet in lvk.notices(event, retract=True)]
        assert told(parts) == []

        append(parts, "raw.lvk", sent[0])  # the early warning, of alerts that came before
        first = told(parts)
        assert first
        assert {(alert.update, alert.update_event) for alert in first} == {("rescored", event.name)}

        later = [packet.data for packet in ztf.packets(5, 120, START, cutouts=False, history=2)][60:]
        append(parts, "raw.ztf", *later)
        fresh = told(parts)[len(first) :]
        assert fresh
        assert {alert.update for alert in fresh} == {None}
        assert not {alert.alert_id for alert in fresh} & {alert.alert_id for alert in first}

        append(parts, "raw.lvk", sent[3])  # a better map
        second = told(parts)[len(first) + len(fresh) :]
        known = {alert.alert_id: alert for alert in first + fresh}
        assert {alert.alert_id for alert in second} <= known.keys()
        assert {alert.update for alert in second} >= {"rescored"}
        for alert in second:
            (old,) = known[alert.alert_id].skymaps
            if alert.update == "rescored":
                (new,) = alert.skymaps
                assert new.revision == 2
                assert new.credible_level != old.credible_level
            else:
                assert alert.skymaps == ()

        append(parts, "raw.lvk", sent[4])
        third = told(parts)[len(first) + len(fresh) + len(second) :]
        assert {alert.alert_id for alert in third} == {a.alert_id for a in second if a.update == "rescored"}
        assert {(alert.update, alert.skymaps) for alert in third} == {("retracted", ())}
        page = association_pages.page(parts.store, events.canonical_name(parts.store, event.name))
        assert {row["state"] for row in page.alerts} == {"retracted"} | ({"left"} if len(third) < len(known) else set())
        _shown(parts, event.name)


def _shown(parts: Parts, name: str) -> None:
    """The same over HTTP, page by page."""
    with TestClient(create_app(serving.services(parts))) as client:
        whole = client.get(f"/api/v1/events/{name}/alerts?limit=1000").json()
        assert whole["event"] == name
        assert whole["next"] is None
        levels = [row["credible_level"] for row in whole["items"]]
        assert levels == sorted(levels)
        paged, address = [], f"/api/v1/events/{name.lower()}/alerts?limit=7"
        while address:
            page = client.get(address).json()
            paged += page["items"]
            address = page["next"]
        assert paged == whole["items"]
        inner = client.get(f"/api/v1/events/{name}/alerts?level=0.5").json()["items"]
        assert inner == [row for row in paged if row["credible_level"] <= 0.5]
        assert client.get("/api/v1/events/S000101a/alerts").status_code == 404


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with open_parts(opened(data), data) as parts:
        append(parts, "raw.ztf", *(packet.data for packet in ztf.packets(5, 60, START, cutouts=False, history=2)))
        spot = reading.query(parts, reading.Query("ra IS NOT NULL")).select("ra", "dec").row(0)
        event = lvk.make_event(np.random.default_rng(3), START - timedelta(hours=2), place=spot, width=0.6, length=1.0)
        append(parts, "raw.lvk", next(lvk.notices(event)).data)
    (data / "nuncius.toml").write_text('filters = "filters"\n')
    capsys.readouterr()
    assert run(["--data", str(data), "event", "alerts", event.name, "--format", "json", "--level", "0.95"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert all(row["credible_level"] <= 0.95 and row["state"] == "live" and row["revision"] == 1 for row in found)
    assert run(["--data", str(data), "event", "alerts", event.name, "--format", "csv", "--limit", "2"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["alert_id"] for row in rows] == [row["alert_id"] for row in found[:2]]
    assert float(rows[0]["dt"]) == found[0]["dt"]
    assert run(["--data", str(data), "event", "alerts", event.name]) == 0
    assert run(["--data", str(data), "event", "alerts", "S000101a"]) == 1


def test_mock_events_are_nobodys_business(tmp_path: Path) -> None:
    packets = [packet.data for packet in ztf.packets(5, 60, START, cutouts=False, history=2)]
    with open_parts(opened(tmp_path / "data"), tmp_path / "data") as parts:
        append(parts, "raw.ztf", *packets)
        spot = reading.query(parts, reading.Query("ra IS NOT NULL")).select("ra", "dec").row(0)
        event = lvk.make_event(np.random.default_rng(3), START - timedelta(hours=2), place=spot, mock=True)
        append(parts, "raw.lvk", *(packet.data for packet in lvk.notices(event)))
        assert told(parts) == []
        assert association_pages.page(parts.store, events.canonical_name(parts.store, event.name)).alerts == []
