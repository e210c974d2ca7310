"""Signs of life of an upstream: kept from the log, shown, and missed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import confluent_kafka
import httpx
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests import services
from tests.notices import unified
from tests.running import Installation, install, wait_for


def heartbeat() -> bytes:
    schema = "https://gcn.nasa.gov/schema/v4.1.0/gcn/notices/core/Alert.schema.json"
    return json.dumps({"$schema": schema, "alert_datetime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}).encode()


@contextmanager
def beating(producer: confluent_kafka.Producer) -> Iterator[None]:
    """Some every second."""
    stop = Event()

    def beat() -> None:
        while not stop.wait(0.2):
            producer.produce("gcn.heartbeat", heartbeat())
            producer.poll(0)

    thread = Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        producer.flush()


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_an_alarm_where_they_stop(own_kafka: str, tmp_path: Path) -> None:
    admin = AdminClient({"bootstrap.servers": own_kafka})
    for done in admin.create_topics(
        [NewTopic(name, 1, 1) for name in ("gcn.heartbeat", "gcn.notices.fermi.gbm.trigger")]
    ).values():
        done.result()
    producer = confluent_kafka.Producer({"bootstrap.servers": own_kafka})
    producer.produce("gcn.notices.fermi.gbm.trigger", unified(mission="Fermi", id="700000001"))
    source = (
        f'[ingest.gcn]\nkind = "kafka"\nbootstrap_servers = "{own_kafka}"\ntopics = ["^gcn\\\\..*"]\n\n'
        "[alarm]\nheartbeat_seconds = 3.0\n"
    )
    nuncius = install(tmp_path / "data", more=source)
    port = services.free_port()
    address = f"http://127.0.0.1:{port}/api/v1"

    def alarms() -> dict[str, str]:
        return httpx.get(f"{address}/health").json()["alarms"]  # type: ignore[no-any-return]

    def shown() -> list[dict[str, Any]]:
        return httpx.get(f"{address}/status").json()["heartbeats"]  # type: ignore[no-any-return]

    with nuncius.running("up", "--port", str(port)):
        wait_for(lambda: _answers(address), 60, "does not serve")
        with beating(producer):
            wait_for(lambda: bool(shown()) and shown()[0]["seen"] is not None and not alarms(), 60, "no sign of life")
            assert shown()[0]["upstream"] == "gcn"
            wait_for(lambda: _published(nuncius) == 1, 30, "the notice is not in")
        wait_for(lambda: "heartbeat of gcn" in alarms(), 30, "no alarm")
        assert httpx.get(f"{address}/health").status_code == 200  # we ourselves are well
        assert "nuncius_heartbeat_age_seconds" in httpx.get(f"{address}/metrics").text
        assert "alarm" in nuncius.run("status")
        with beating(producer):
            wait_for(lambda: not alarms(), 30, "the alarm does not end")
    logged = "".join(file.read_text("utf-8") for file in nuncius.data.glob("up-*.log"))
    assert "heartbeat_silent" in logged
    assert "heartbeat_back" in logged
    assert nuncius.json("query", "alert_id IS NOT NULL", "--columns", "mission") == [{"mission": "Fermi"}]
    assert nuncius.json("status", "--json")["ledger"]["total"]["received"] == 1


def test_one_from_a_file_is_no_alert(tmp_path: Path) -> None:
    nuncius = install(tmp_path / "data")
    file = tmp_path / "heartbeat.json"
    file.write_bytes(heartbeat())
    ledger = nuncius.json("ingest", str(file), "--json")
    assert (ledger["received"], ledger["published"], ledger["rejected"]) == (0, 0, 0)
    status = nuncius.json("status", "--json")
    assert (status["faults"], status["heartbeats"]) == ([], [])
    assert nuncius.json("event", "list", "--json") == []


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health/live").status_code == 200
    except httpx.HTTPError:
        return False


def _published(nuncius: Installation) -> int:
    return int(nuncius.json("status", "--json")["ledger"]["total"]["published"])
