"""The whole path on Apache Kafka and PostgreSQL: upstream topic, ingest, process, matched topics, their readers."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from broker.simulate import ztf
from consumers import subscribe
from tests import services
from tests.running import Installation, install, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

COUNT = 600


def produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})  # let go of, it would take its answers with it
    for done in admin.create_topics([NewTopic(topic, 3, 1)]).values():
        done.result()
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap})
    for value in values:
        producer.produce(topic, value)
        producer.poll(0)
    producer.flush()


def consume(bootstrap: str, topic: str, at_least: int) -> list[confluent_kafka.Message]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    got: list[confluent_kafka.Message] = []
    quiet = 0
    while quiet < 3 or (len(got) < at_least and quiet < 20):
        some = [message for message in consumer.consume(1000, 1.0) if message.error() is None]
        quiet = 0 if some else quiet + 1
        got += some
    consumer.close()
    return got


def received(nuncius: Installation) -> int:
    return int(nuncius.json("status", "--json")["ledger"]["total"]["received"])


@pytest.mark.timeout(400)
def test_from_an_upstream_topic_to_subscribers(own_kafka: str, fresh_postgres: str, tmp_path: Path) -> None:
    # Half the packets come twice, as upstreams do; bytes that are none are among them.
    packets = list(ztf.packets(11, COUNT, datetime.now(UTC) - timedelta(hours=1), cutouts=False, history=5))
    produce(own_kafka, "ztf_20261121_programid1", [packet.data for packet in [*packets, *packets[::2]]] + [b"Obj\x01 cut"])
    source = (
        f'[ingest.ztf]\nkind = "kafka"\nstream = "ztf"\nbootstrap_servers = "{own_kafka}"\n'
        f'topics = ["^ztf_\\\\d{{8}}_programid1$"]\n'
    )
    nuncius = install(tmp_path / "data", kafka=own_kafka, store=fresh_postgres, more=source)
    with ExitStack() as stack:
        stack.enter_context(nuncius.running("ingest"))
        stack.enter_context(nuncius.running("process"))
        wait_for(
            lambda: nuncius.json("status", "--json")["ledger"]["total"]["received"] == COUNT * 3 // 2 + 1, 120, "not all in"
        )
        status = nuncius.json("status", "--json")
    counts = status["ledger"]["total"]
    assert (counts["published"], counts["duplicate"], counts["rejected"]) == (COUNT, COUNT // 2, 1)
    assert status["faults"] == []

    alerts = consume(own_kafka, "alerts.ztf", COUNT)
    ids = [dict(message.headers())["nuncius.alert_id"].decode() for message in alerts]
    assert sorted(ids) == sorted(f"ztf:{packet.name}" for packet in packets)

    picked = status["matches"]
    assert picked, "no filter picks anything of a simulated night"
    name, number = max(picked.items(), key=lambda item: item[1])
    with subscribe(name, own_kafka, start_at="earliest", until=datetime.now(UTC)) as stream:
        read = list(stream)
    assert len(read) == number
    assert {alert.filters[0].name if hasattr(alert.filters[0], "name") else alert.filters[0] for alert in read} == {name}
    assert {alert.alert_id for alert in read} <= set(ids)

    dead = consume(own_kafka, "dead-letter", 1)
    assert [message.value() for message in dead] == [b"Obj\x01 cut"]

    if shutil.which("kcat") is None:
        services.missing("kcat is not here")
    seen = subprocess.run(
        ["kcat", "-b", own_kafka, "-C", "-t", f"matched.{name}", "-e", "-q", "-J", "-X", "isolation.level=read_committed"],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    lines = [json.loads(line) for line in seen.stdout.decode("utf-8", "replace").split("\n") if line]
    headers = [dict(zip(line["headers"][::2], line["headers"][1::2], strict=True)) for line in lines]
    assert sorted(header["nuncius.alert_id"] for header in headers) == sorted(alert.alert_id for alert in read)
    assert {header["nuncius.filter"] for header in headers} == {name}
