"""The loop on real Kafka: killed between polling, working and publishing, it loses nothing and doubles nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient

from broker.record import Message, TopicPartition
from broker.stream.kafka import KafkaLog
from broker.stream.log import TopicSpec
from broker.stream.loop import Limits, run
from tests.stream.test_loop import outcome

pytestmark = pytest.mark.kafka

EXTRA = {"session.timeout.ms": 2000, "heartbeat.interval.ms": 500}

# Killed in its second batch: `where` is "work", or "publish" once the outputs are handed to Kafka but not committed.
KILLED = """
import os, signal, sys, threading
import confluent_kafka
from broker.record import Message
from broker.stream import kafka_publisher
from broker.stream.kafka import KafkaLog
from broker.stream.loop import Limits, Outcome, run
from tests.stream.test_loop import outcome

servers, prefix, where = sys.argv[1:]
log = KafkaLog(servers, extra={extra!r})
turn = 0

def die(here):
    if where == here and turn == 2:
        os.kill(os.getpid(), signal.SIGKILL)

class Producer(confluent_kafka.Producer):
    def commit_transaction(self, *arguments):
        self.flush(10)
        die("publish")
        return super().commit_transaction(*arguments)

kafka_publisher.Producer = Producer

def work(stream, records):
    global turn
    turn += 1
    die("work")
    done = outcome(stream, records)
    return Outcome(done.batch, [Message(prefix + ".out", message.value, message.key) for message in done.messages])

run(log.consumer(prefix, ["^" + prefix + r"\\..*raw"]), log.publisher(prefix), work, on_batch=lambda *_: None,
    stop=threading.Event(), limits=Limits(max_records=25, linger=0.01), drain=True)
""".replace("{extra!r}", repr(EXTRA))


def test_kill_9_at_work_and_at_publishing(kafka_bootstrap):
    prefix = f"t{uuid.uuid4().hex[:8]}"
    log = KafkaLog(kafka_bootstrap)
    log.create_topic(f"{prefix}.raw", TopicSpec(partitions=3))
    log.create_topic(f"{prefix}.out", TopicSpec())
    values = sorted(str(number).encode() for number in range(200))
    log.append([Message(f"{prefix}.raw", value, value) for value in values])
    root = Path(__file__).parent.parent.parent
    for where in ("publish", "work", "nowhere"):
        command = [sys.executable, "-c", KILLED, kafka_bootstrap, prefix, where]
        expected = 0 if where == "nowhere" else -signal.SIGKILL
        assert subprocess.run(command, check=False, cwd=root, timeout=120).returncode == expected
    assert set(log.group_lag(prefix).values()) == {0}
    reader = log.consumer(None, [f"{prefix}.out"])
    published: list[bytes] = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(reader.lag().values()):
        published += [record.value for record in reader.poll(1000, 1 << 20, 0.5)]
    assert sorted(published) == values
    log.close()


def test_what_retention_dropped_is_no_lag(kafka_bootstrap):
    prefix = f"t{uuid.uuid4().hex[:8]}"
    place = confluent_kafka.TopicPartition(f"{prefix}.raw", 0, 8)
    log = KafkaLog(kafka_bootstrap, extra=EXTRA)
    log.create_topic(place.topic, TopicSpec())
    log.append([Message(place.topic, b"%d" % number) for number in range(10)])
    consumer = log.consumer(prefix, [place.topic])
    while not consumer.poll(1, 1, 1.0):
        pass
    consumer.commit({TopicPartition(place.topic, 0): 1})
    consumer.close()
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    for dropped in admin.delete_records([place]).values():
        dropped.result(30)
    assert log.group_lag(prefix) == {TopicPartition(place.topic, 0): 2}
    again = log.consumer(prefix, [place.topic])
    while not again.assignment():
        again.poll(1, 1, 0.1)
    assert again.lag() in ({TopicPartition(place.topic, 0): 2}, {TopicPartition(place.topic, 0): 1})
    log.close()


def test_markers_of_transactions_are_no_lag(kafka_bootstrap):
    prefix = f"t{uuid.uuid4().hex[:8]}"
    topic = f"{prefix}.raw"
    log = KafkaLog(kafka_bootstrap, extra=EXTRA)
    log.create_topic(topic, TopicSpec())
    with closing(log.publisher(prefix + "-up")) as upstream:
        for number in range(3):
            upstream.publish([Message(topic, b"%d" % number)])
    consumer, publisher = log.consumer(prefix, [topic]), log.publisher(prefix)
    run(consumer, publisher, outcome, on_batch=lambda *_: None, stop=threading.Event(), limits=Limits(linger=0.01), drain=True)
    assert log.group_lag(prefix) == {TopicPartition(topic, 0): 0}
    log.close()
