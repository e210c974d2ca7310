"""Subscriptions on a real Kafka."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from consumers import BadRecordError, RequestError, UnavailableError, subscribe
from tests import services
from tests.consumers.conftest import produce, value

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]


def now() -> datetime:
    return datetime.now(UTC)


def ids(alerts):
    return [alert.alert_id for alert in alerts]


def test_everything_there_is_and_then_the_end(kafka_bootstrap, make_topic):
    topic = make_topic(partitions=3)
    for partition in range(3):
        produce(kafka_bootstrap, topic, [value(10 * partition + n) for n in range(4)], partition=partition)
    with subscribe(topic, kafka_bootstrap, start_at="earliest", until=now()) as stream:
        alerts = list(stream)
        assert sorted(ids(alerts)) == sorted(f"ztf:{10 * p + n}" for p in range(3) for n in range(4))
        assert stream.finished
        assert stream.offsets() == {(topic, p): 4 for p in range(3)}
        assert stream.lag() == {(topic, p): 0 for p in range(3)}
    first = next(alert for alert in alerts if alert.alert_id == "ztf:0")
    assert (first.topic, first.partition, first.offset) == (topic, 0, 0)
    assert first.headers == (("nuncius.alert_id", b"ztf"),)
    assert first.timestamp is not None
    assert abs(first.timestamp - now()) < timedelta(minutes=5)


def test_replay_by_time(kafka_bootstrap, make_topic):
    topic, start = make_topic(), datetime(2026, 11, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(6)]
    produce(kafka_bootstrap, topic, [value(n) for n in range(6)], stamps=[int(hour.timestamp() * 1000) for hour in hours])
    with subscribe(topic, kafka_bootstrap, start_at=hours[2], until=hours[5]) as stream:
        assert ids(stream) == ["ztf:2", "ztf:3", "ztf:4"]


def test_latest_means_what_comes_after_opening(kafka_bootstrap, make_topic):
    topic = make_topic()
    produce(kafka_bootstrap, topic, [value(1)])
    with subscribe(topic, kafka_bootstrap, start_at="latest") as stream:
        produce(kafka_bootstrap, topic, [value(2)])
        assert next(stream).alert_id == "ztf:2"


def test_offsets_and_seek(kafka_bootstrap, make_topic):
    topic = make_topic()
    produce(kafka_bootstrap, topic, [value(n) for n in range(5)])
    with subscribe(topic, kafka_bootstrap, start_at={(topic, 0): 3}) as stream:
        assert next(stream).offset == 3
        assert stream.lag() == {(topic, 0): 1}
        stream.seek(topic, 0, 1)
        assert [next(stream).offset for _ in range(4)] == [1, 2, 3, 4]
        with pytest.raises(RequestError, match="not being read"):
            stream.seek(topic, 7, 0)


def test_a_topic_may_come_later(kafka_bootstrap, make_topic):
    name = f"matched.later-{uuid.uuid4().hex[:8]}"
    said = []
    with subscribe(f"^{name}$", kafka_bootstrap, on_wait=said.append) as stream:
        assert stream.poll(0.2) is None
        assert "waiting for it" in said[0]
        make_topic(name=name)
        produce(kafka_bootstrap, name, [value(1)])
        assert next(stream).alert_id == "ztf:1"


def test_what_comes_later_is_read_whole_by_a_group_too(kafka_bootstrap, make_topic):
    name = f"matched.later-{uuid.uuid4().hex[:8]}"
    old = make_topic(name=f"{name}-old")
    produce(kafka_bootstrap, old, [value(1)])
    quick = {"topic.metadata.refresh.interval.ms": 500}
    with subscribe(f"^{name}.*", kafka_bootstrap, group=name, start_at="latest", config=quick) as stream:
        produce(kafka_bootstrap, old, [value(2)])  # before the group has settled
        alert = next(stream)
        assert alert.alert_id == "ztf:2"
        alert.commit()
        new = make_topic(name=f"{name}-new")
        produce(kafka_bootstrap, new, [value(3)])
        alert = next(stream)
        assert alert.alert_id == "ztf:3"
        alert.commit()
        admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
        admin.create_partitions([NewPartitions(old, 2)])[old].result(30)
        produce(kafka_bootstrap, old, [value(4)], partition=1)
        assert next(stream).alert_id == "ztf:4"


def test_an_offset_that_is_gone_goes_on_with_what_is_left(kafka_bootstrap, make_topic):
    topic, group = make_topic(), f"g-{uuid.uuid4().hex[:8]}"
    produce(kafka_bootstrap, topic, [value(n) for n in range(5)])
    with subscribe(topic, kafka_bootstrap, group=group, start_at="earliest") as stream:
        next(stream).commit()
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    place = TopicPartition(topic, 0, 3)
    admin.delete_records([place])[place].result(30)
    with subscribe(topic, kafka_bootstrap, group=group, start_at="latest", until=now()) as stream:
        assert ids(stream) == ["ztf:3", "ztf:4"]


def test_a_crash_loses_nothing(kafka_bootstrap, make_topic):
    topic, group = make_topic(), f"g-{uuid.uuid4().hex[:8]}"
    produce(kafka_bootstrap, topic, [value(n) for n in range(20)])
    program = f"""
import os
from consumers import subscribe
short = {{"session.timeout.ms": 3000}}
with subscribe({topic!r}, {kafka_bootstrap!r}, group={group!r}, start_at="earliest", config=short) as stream:
    for number, alert in enumerate(stream):
        print(alert.alert_id, flush=True)
        if number == 12:
            os.kill(os.getpid(), 9)
        if number < 10:
            alert.commit()
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout.split() == [f"ztf:{n}" for n in range(13)]
    with subscribe(topic, kafka_bootstrap, group=group, start_at="earliest", until=now()) as stream:
        rest = []
        for alert in stream:
            rest.append(alert.alert_id)
            alert.commit()
        assert stream.lag() == {(topic, 0): 0}
    assert rest == [f"ztf:{n}" for n in range(10, 20)]


def test_aborted_transactions_are_not_seen(kafka_bootstrap, make_topic):
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka_bootstrap, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    for number, end in enumerate((producer.commit_transaction, producer.abort_transaction, producer.commit_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value(number))
        producer.flush(30)
        end(30)
    with subscribe(topic, kafka_bootstrap, start_at="earliest", until=now()) as stream:
        assert ids(stream) == ["ztf:0", "ztf:2"]
    with subscribe(topic, kafka_bootstrap, start_at="earliest", until=now(), isolation="read_uncommitted") as stream:
        assert ids(stream) == ["ztf:0", "ztf:1", "ztf:2"]


def test_a_bad_record_is_raised_with_its_bytes_and_passed_over(kafka_bootstrap, make_topic):
    topic = make_topic()
    produce(kafka_bootstrap, topic, [value(0), b"rubbish", value(2)])
    with subscribe(topic, kafka_bootstrap, start_at="earliest", until=now()) as stream:
        assert next(stream).alert_id == "ztf:0"
        with pytest.raises(BadRecordError, match="Confluent") as caught:
            next(stream)
        assert (caught.value.data, caught.value.topic, caught.value.offset) == (b"rubbish", topic, 1)
        assert ids(stream) == ["ztf:2"]
    said = []
    with subscribe(topic, kafka_bootstrap, start_at="earliest", until=now(), on_error="skip", on_wait=said.append) as stream:
        assert ids(stream) == ["ztf:0", "ztf:2"]
    assert any("skipped" in text and "@1" in text for text in said)


def test_nobody_there_is_told_after_the_timeout():
    said, quick = [], {"socket.connection.setup.timeout.ms": 1000}
    with (
        pytest.raises(UnavailableError, match="nothing from 127"),
        subscribe("x", "127.0.0.1:1", timeout=1.0, on_wait=said.append, config=quick) as stream,
    ):
        next(stream)
    assert any("waiting for 127.0.0.1:1" in text for text in said)


@pytest.fixture
def own_kafka(tmp_path):
    """A Kafka of the test's own, to be stopped and started again: its servers, and a function for each."""
    if not services.shutil.which("java"):
        services.missing("Kafka needs java: install it")
    port = services.free_port()
    script = [sys.executable, str(ROOT / "infra" / "kafka" / "run.py")]

    def run(verb):
        extra = ["--port", str(port)] if verb == "start" else []
        subprocess.run([*script, verb, "--dir", str(tmp_path / "k"), *extra], capture_output=True, timeout=300, check=True)

    run("start")
    yield f"127.0.0.1:{port}", run
    run("stop")


def test_a_broker_that_restarts_is_waited_for(own_kafka):
    servers, run = own_kafka
    topic, said = "matched.restart", []
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    produce(servers, topic, [value(n) for n in range(3)])
    with subscribe(topic, servers, start_at="earliest", on_wait=said.append) as stream:
        assert [next(stream).alert_id for _ in range(2)] == ["ztf:0", "ztf:1"]
        run("stop")
        deadline = time.monotonic() + 30
        assert next(stream).alert_id == "ztf:2"
        while not said and time.monotonic() < deadline:
            assert stream.poll(0.5) is None
        assert "waiting for" in said[-1]
        run("start")
        produce(servers, topic, [value(3)])
        assert next(stream).alert_id == "ztf:3"
