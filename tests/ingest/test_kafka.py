"""Upstream Kafka, GCN through gcn-kafka, SCiMMA through hop-client: against a real broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from broker.errors import LogUnavailableError, UsageError
from broker.ingest import kafka
from broker.ingest.kafka import Upstream, follow
from broker.ingest.raw import Received

pytestmark = pytest.mark.kafka


@pytest.fixture
def upstream_topic(kafka_bootstrap: str) -> Callable[..., str]:
    def make(*values: bytes, name: str = "") -> str:
        topic = name or f"upstream_{uuid.uuid4().hex[:12]}"
        admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
        for done in admin.create_topics([NewTopic(topic, 1, 1)]).values():
            done.result()
        producer = confluent_kafka.Producer({"bootstrap.servers": kafka_bootstrap})
        for number, value in enumerate(values):
            producer.produce(topic, value, key=f"k{number}", headers=[("_id", b"1")])
        producer.flush()
        return topic

    return make


def gather(upstream: Upstream, number: int, take: Callable[[list[Received]], None] | None = None) -> list[Received]:
    """Follow until so many are in or half a minute is over."""
    stop = threading.Event()
    got: list[Received] = []

    def keep(received: list[Received]) -> None:
        if take:
            take(received)
        got.extend(received)
        if len(got) >= number:
            stop.set()

    timer = threading.Timer(30, stop.set)
    timer.start()
    follow(upstream, keep, stop, wait=0.2)
    timer.cancel()
    return got


def test_bytes_key_headers_and_origin_are_kept(kafka_bootstrap: str, upstream_topic: Callable[..., str]) -> None:
    topic = upstream_topic(b"\x00one", b"", b"three")
    got = gather(Upstream("kafka", (topic,), uuid.uuid4().hex, kafka_bootstrap), 3)
    assert [(one.value, one.key) for one in got] == [(b"\x00one", b"k0"), (b"", b"k1"), (b"three", b"k2")]
    assert got[0].headers == (("_id", b"1"),)
    assert got[2].origin.startswith(f"kafka://{kafka_bootstrap}/{topic}/0/2@")


def test_a_group_goes_on_where_it_was_and_new_topics_are_found(
    kafka_bootstrap: str, upstream_topic: Callable[..., str]
) -> None:
    night = f"ztf_{uuid.uuid4().hex[:8]}"
    upstream_topic(b"1", b"2", name=f"{night}_a")
    upstream = Upstream(
        "kafka",
        (rf"^{night}_\w{{1}}$",),
        uuid.uuid4().hex,
        kafka_bootstrap,
    )
    assert [one.value for one in gather(upstream, 2)] == [b"1", b"2"]
    upstream_topic(b"3", name=f"{night}_b")
    assert [one.value for one in gather(upstream, 1)] == [b"3"]


def test_topics_that_are_all_gone_are_waited_for(
    kafka_bootstrap: str, upstream_topic: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "REFRESH_SECONDS", 0.2)
    night = f"ztf_{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    upstream_topic(b"1", name=f"{night}_a")

    def take(received: list[Received]) -> None:
        if received[0].value == b"1":
            admin.delete_topics([f"{night}_a"])[f"{night}_a"].result()
            threading.Timer(3.0, lambda: upstream_topic(b"2", name=f"{night}_b")).start()

    upstream = Upstream("kafka", (f"^{night}_",), uuid.uuid4().hex, kafka_bootstrap)
    assert [one.value for one in gather(upstream, 2, take)] == [b"1", b"2"]


def test_nothing_is_committed_before_our_log_has_it(kafka_bootstrap: str, upstream_topic: Callable[..., str]) -> None:
    topic = upstream_topic(b"1", b"2")
    upstream = Upstream("kafka", (topic,), uuid.uuid4().hex, kafka_bootstrap)

    class CrashError(Exception):
        pass

    def crash(_received: list[Received]) -> None:
        raise CrashError

    with pytest.raises(CrashError):
        gather(upstream, 2, crash)
    assert [one.value for one in gather(upstream, 2)] == [b"1", b"2"]


def test_our_log_being_away_is_waited_out(kafka_bootstrap: str, upstream_topic: Callable[..., str]) -> None:
    topic = upstream_topic(b"1")
    tries: list[float] = []

    def away_twice(_received: list[Received]) -> None:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise LogUnavailableError("the log is away")

    got = gather(Upstream("kafka", (topic,), uuid.uuid4().hex, kafka_bootstrap), 1, away_twice)
    assert [one.value for one in got] == [b"1"]
    assert len(tries) == 3


def test_gcn_client(kafka_bootstrap: str, upstream_topic: Callable[..., str]) -> None:
    topic = upstream_topic(b'{"alert_tense": "test"}', name=f"gcn.notices.x{uuid.uuid4().hex[:8]}")
    upstream = Upstream(
        "gcn",
        (topic,),
        uuid.uuid4().hex,
        properties={"bootstrap.servers": kafka_bootstrap, "security.protocol": "plaintext"},
    )
    assert [one.value for one in gather(upstream, 1)] == [b'{"alert_tense": "test"}']


def test_hop_client(kafka_bootstrap: str, upstream_topic: Callable[..., str]) -> None:
    topic = upstream_topic(b"Obj\x01avro", b"second")
    upstream = Upstream("hop", (topic,), uuid.uuid4().hex, kafka_bootstrap)
    assert [one.value for one in gather(upstream, 2)] == [b"Obj\x01avro", b"second"]


def test_hop_takes_no_regular_expression() -> None:
    with pytest.raises(UsageError, match="topic names only"):
        follow(Upstream("hop", ("^igwn.*",), "g", "127.0.0.1:1"), lambda _received: None, threading.Event())
