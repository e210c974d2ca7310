"""Counterparts told to GCN and SCiMMA, on a real Kafka, read back by gcn-kafka and hop-client."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import confluent_kafka
import gcn_kafka
import jsonschema_rs
import numpy as np
import polars as pl
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from hop import Stream
from hop.io import StartPosition

from broker import topics
from broker.alert import SKYMAPS_DTYPE, Batch
from broker.deliver import kafka_out
from broker.deliver.publish import encode
from broker.errors import LogUnavailableError, UsageError
from broker.paths import shipped
from broker.record import Message, Record
from broker.settings import Relay, Settings
from broker.simulate import lvk
from broker.simulate.night import make_night
from broker.store import events
from broker.store.archive import Address
from broker.wiring import relay as relaying
from broker.wiring import running
from broker.wiring.parts import Parts, open_parts
from tests.api.world import frame_of, survey_alert
from tests.running import Installation, install, wait_for
from tests.services import free_port

SCHEMA = json.loads((shipped("schemas") / "gcn" / "optical_counterpart.schema.json").read_text("utf-8"))
FILTER = "event_counterparts"
EVENT_TIME = datetime(2026, 11, 20, 4, tzinfo=UTC)


def new_topic(bootstrap: str, name: str) -> str:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = f"{name}.{uuid.uuid4().hex[:8]}"
    for done in admin.create_topics([NewTopic(topic, 1, 1)]).values():
        done.result()
    return topic


def gcn_table(bootstrap: str, topic: str, **more: Any) -> Relay:
    return Relay(
        kind="gcn",
        filters=(FILTER, "gw_counterparts"),
        topic=topic,
        level=1.0,
        start="earliest",
        bootstrap_servers=bootstrap,
        properties={"security.protocol": "plaintext"},
        **more,
    )


def read_gcn(bootstrap: str, topic: str, at_least: int) -> list[confluent_kafka.Message]:
    """Everything on a topic, as a subscriber of GCN reads it."""
    consumer = gcn_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "security.protocol": "plaintext", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    got: list[confluent_kafka.Message] = []
    quiet = 0
    while quiet < 2 or (len(got) < at_least and quiet < 30):
        some = [message for message in consumer.consume(100, 1.0) if message.error() is None]
        quiet = 0 if some else quiet + 1
        got += some
    consumer.close()
    return got


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """An installation on the embedded log that knows one event."""
    with open_parts(Settings(), tmp_path / "data") as opened:
        packet = next(lvk.notices(lvk.make_event(np.random.default_rng(3), EVENT_TIME)))
        (tmp_path / "notice.json").write_bytes(packet.data)
        running.ingest_paths(opened, [tmp_path / "notice.json"], lambda _origin, _records: None)
        running.drain(opened, lambda _records: None)
        yield opened


def event_of(parts: Parts) -> str:
    (event,) = events.list_events(parts.store).events
    return str(event["event_name"])


def publish(
    parts: Parts,
    numbers: Sequence[int],
    event: str | None,
    *,
    name: str = FILTER,
    update: str = "",
    level: float = 0.3,
    revision: int = 1,
) -> None:
    """Matches as `process` publishes them."""
    for number in numbers:
        spec = next(one for one in parts.filters if one.name == name)
        record = Record("raw.ztf", 0, 0, 0, None, b"")
        maps = [{"event": event, "revision": revision, "credible_level": level, "density": 2.0, "dt": 3600.0}]
        frame = frame_of([survey_alert(number)]).with_columns(
            pl.Series("skymaps", [maps if event and update != "retracted" else []], dtype=SKYMAPS_DTYPE)
        )
        batch = Batch("ztf", (record,), frame, 1, matches={name: np.array([0])})
        messages = [one for one in encode(batch, [spec], [Address("a.avro", 0, 1)]) if one.topic == topics.matched(name)]
        if update:
            said = {topics.HEADER_UPDATE: update, topics.HEADER_EVENT: str(event), topics.HEADER_REVISION: str(revision)}
            more = tuple((name, value.encode()) for name, value in said.items())
            messages = [replace(message, headers=(*message.headers, *more)) for message in messages]
        parts.log.append(messages)


@contextmanager
def relayed(parts: Parts, **tables: Relay) -> Iterator[threading.Event]:
    """Relays at work while the block runs."""
    settings = parts.settings.model_copy(update={"relay": tables})
    stop = threading.Event()
    faults: list[BaseException] = []

    def run() -> None:
        try:
            relaying.relay(replace(parts, settings=settings), stop, wait=0.2)
        except BaseException as error:  # noqa: BLE001
            faults.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    if faults:
        raise faults[0]


def caught_up(parts: Parts, group: str) -> Callable[[], bool]:
    return lambda: (behind := parts.log.group_lag(group)) != {} and not any(behind.values())


@pytest.mark.kafka
def test_matches_updates_and_retractions_go_to_gcn_once(kafka_bootstrap: str, parts: Parts) -> None:
    topic, event = new_topic(kafka_bootstrap, "gcn.notices.nuncius.alert"), event_of(parts)
    table = gcn_table(kafka_bootstrap, topic)
    publish(parts, [1, 2], event)
    publish(parts, [3], None)  # in no map: nobody is told
    publish(parts, [2], event, name="gw_counterparts")  # picked by two filters, told once
    with relayed(parts, gcn=table):
        wait_for(caught_up(parts, "nuncius-relay-gcn"), 30, "matches are not told")
    publish(parts, [1], event, update="rescored", level=0.95)
    publish(parts, [2], event, update="retracted")
    with relayed(parts, gcn=table):  # goes on where it was
        wait_for(caught_up(parts, "nuncius-relay-gcn"), 30, "updates are not told")
    told = read_gcn(kafka_bootstrap, topic, 4)
    notices = [json.loads(message.value()) for message in told]
    validator = jsonschema_rs.validator_for(SCHEMA)
    for notice in notices:
        validator.validate(notice)
    said = sorted((one["alert_type"], one["data"]["targets"][0]["event_name"]) for one in notices)
    assert said == [
        ("initial", "ZTF24aa00001"), ("initial", "ZTF24aa00002"), ("retraction", "ZTF24aa00002"), ("update", "ZTF24aa00001"),
    ]  # fmt: skip
    assert {one["data"]["targets"][0]["gcn_crossmatch"][0]["ref_ID"] for one in notices} == {event}
    known = notices[0]["data"]["targets"][0]["gcn_crossmatch"][0]
    assert (known["ref_type"], known["ref_instrument"]) == ("GW", "LVK-H1,L1,V1") or known["ref_type"] == "GW"
    ids = [dict(message.headers())["nuncius.delivery_id"] for message in told]
    assert len(set(ids)) == 4


@pytest.mark.kafka
def test_hop_client_reads_what_goes_to_scimma(kafka_bootstrap: str, parts: Parts) -> None:
    topic, event = new_topic(kafka_bootstrap, "nuncius.counterparts"), event_of(parts)
    table = Relay(kind="hop", filters=(FILTER,), topic=topic, start="earliest", test=True, bootstrap_servers=kafka_bootstrap)
    publish(parts, [1, 2], event)
    publish(parts, [4], event, level=0.95)  # beyond the level that is told
    with relayed(parts, scimma=table):
        wait_for(caught_up(parts, "nuncius-relay-scimma"), 30, "matches are not told")
    url = f"kafka://{kafka_bootstrap}/{topic}"
    with Stream(auth=False, start_at=StartPosition.EARLIEST, until_eos=True).open(url, "r", ignoretest=False) as stream:
        read = list(stream.read(metadata=True))
    assert sorted(message.content["data"]["targets"][0]["name"] for message, _ in read) == ["ZTF24aa00001", "ZTF24aa00002"]
    message, metadata = read[0]
    assert message.content["data"]["event_id"] == event
    headers = dict(metadata.headers)
    assert (headers["_sender"], headers["_test"], headers["_format"]) == (b"Nuncius", b"true", b"json")
    assert str(uuid.UUID(bytes=headers["_id"])) == message.content["data"]["extra_data"]["delivery_id"]
    with Stream(auth=False, start_at=StartPosition.EARLIEST, until_eos=True).open(url, "r") as stream:
        assert list(stream.read()) == []  # who does not ask for tests gets none


@pytest.mark.kafka
def test_a_network_that_is_away_is_waited_for(kafka_bootstrap: str, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_out, "SECONDS", 1.0)
    topic, event = new_topic(kafka_bootstrap, "gcn.notices.nuncius.alert"), event_of(parts)
    publish(parts, [1, 2, 3], event)
    with relayed(parts, gcn=gcn_table(f"127.0.0.1:{free_port()}", topic)):
        time.sleep(3)
        assert not caught_up(parts, "nuncius-relay-gcn")()
    with relayed(parts, gcn=gcn_table(kafka_bootstrap, topic)):
        wait_for(caught_up(parts, "nuncius-relay-gcn"), 30, "matches are not told")
    assert len(read_gcn(kafka_bootstrap, topic, 3)) == 3


@contextmanager
def following(parts: Parts, table: Relay, send: Callable[[Sequence[Message]], None]) -> Iterator[None]:
    """A relay with another way out, at work while the block runs."""
    stop = threading.Event()
    one = relaying._Relay(parts, "here", table, send)
    thread = threading.Thread(target=relaying._follow, args=(one, stop, 0.05))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def names(messages: Sequence[Message]) -> list[str]:
    return [json.loads(message.value)["data"]["targets"][0]["event_name"] for message in messages]


def test_a_new_relay_begins_with_what_comes_after_it(parts: Parts) -> None:
    event, sent = event_of(parts), list[Message]()
    table = gcn_table("", "t").model_copy(update={"start": "latest"})
    publish(parts, [1, 2], event)
    with following(parts, table, sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "the relay has no place")
    assert sent == []
    publish(parts, [5], event)  # while it is away
    publish(parts, [6], event, name="gw_counterparts")  # on a topic that was not there
    with following(parts, table, sent.extend):
        wait_for(lambda: len(sent) == 2, 30, "what came meanwhile is not told")
    assert sorted(names(sent)) == ["ZTF24aa00005", "ZTF24aa00006"]


def test_what_was_told_decides_what_is_told_again(parts: Parts) -> None:
    """However many revisions it was away for; and nothing is taken back that was never told."""
    event, sent = event_of(parts), list[Message]()
    table = gcn_table("", "t").model_copy(update={"level": 0.9})
    publish(parts, [1], event, level=0.5)
    publish(parts, [2], event, level=0.95)  # too far out: not told
    with following(parts, table, sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "matches are not told")
    assert names(sent) == ["ZTF24aa00001"]
    sent.clear()
    for level in (0.95, 0.97):  # two revisions while it is away
        publish(parts, [1, 2], event, update="rescored", level=level)
    publish(parts, [2], event, update="retracted")
    with following(parts, table, sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "updates are not told")
    assert [(name, json.loads(one.value)["alert_type"]) for name, one in zip(names(sent), sent, strict=True)] == [
        ("ZTF24aa00001", "update")
    ]
    publish(parts, [1, 2], event, update="retracted")
    publish(parts, [1], event, update="retracted")
    with following(parts, table, sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "retractions are not told")
    assert names(sent) == ["ZTF24aa00001"] * 2
    assert json.loads(sent[-1].value)["alert_type"] == "retraction"


def test_what_left_twice_is_taken_back_twice(parts: Parts) -> None:
    event, sent = event_of(parts), list[Message]()
    publish(parts, [1], event)
    for revision, update in ((2, "retracted"), (3, "rescored"), (4, "retracted"), (5, "rescored")):  # all while it is away
        publish(parts, [1], event, update=update, revision=revision)
    with following(parts, gcn_table("", "t"), sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "updates are not told")
    said = [json.loads(one.value)["alert_type"] for one in sent]
    assert said == ["initial", "retraction", "initial", "retraction", "initial"]
    assert len({dict(one.headers)["nuncius.delivery_id"] for one in sent}) == 5


def test_what_was_told_is_taken_back_under_either_name(parts: Parts) -> None:
    event, sent = event_of(parts), list[Message]()
    publish(parts, [1, 2], event)
    with following(parts, gcn_table("", "t"), sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "matches are not told")
    publish(parts, [1], event.upper(), update="retracted", revision=2)  # any name of it
    publish(parts, [3], event.upper())
    publish(parts, [3], event, update="retracted", revision=2)
    with following(parts, gcn_table("", "t"), sent.extend):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "updates are not told")
    said = [(name, json.loads(one.value)["alert_type"]) for name, one in zip(names(sent), sent, strict=True)]
    assert sorted(said[2:]) == [("ZTF24aa00001", "retraction"), ("ZTF24aa00003", "initial"), ("ZTF24aa00003", "retraction")]


def test_what_was_not_acknowledged_comes_again_under_its_id(parts: Parts) -> None:
    event, sent, failures = event_of(parts), list[Message](), [3]

    class CrashError(Exception):
        pass

    def flaky(messages: Sequence[Message]) -> None:
        sent.extend(messages)  # they have it, but we are not told
        if failures[0]:
            failures[0] -= 1
            raise LogUnavailableError("no answer")

    publish(parts, [1, 2, 7], event)
    with following(parts, gcn_table("", "t"), flaky):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "matches are not told")
    assert set(names(sent)) == {"ZTF24aa00001", "ZTF24aa00002", "ZTF24aa00007"}
    assert len(sent) == 6
    assert len({dict(message.headers)["nuncius.delivery_id"] for message in sent}) == 3
    assert len({message.value for message in sent}) == 3


def test_a_record_that_cannot_be_read_or_sent_holds_nothing_up(parts: Parts) -> None:
    event, sent = event_of(parts), list[Message]()

    def picky(messages: Sequence[Message]) -> None:
        if "ZTF24aa00001" in names(messages):
            raise UsageError("too large")
        sent.extend(messages)

    parts.log.append([Message(topics.matched(FILTER), b"\x00\x00\x00\x00\x09nonsense", b"k")])
    parts.log.append([Message(topics.matched(FILTER), b"", b"k")])
    publish(parts, [1, 2], event)
    with following(parts, gcn_table("", "t"), picky):
        wait_for(caught_up(parts, "nuncius-relay-here"), 30, "the relay is held up")
    assert names(sent) == ["ZTF24aa00002"]


def test_a_relay_must_be_set_right(parts: Parts) -> None:
    with pytest.raises(UsageError, match=r"\[relay"):
        relaying.relay(parts, threading.Event())
    wrong = gcn_table("x", "t").model_copy(update={"filters": ("nobody",)})
    settings = parts.settings.model_copy(update={"relay": {"gcn": wrong}})
    with pytest.raises(UsageError, match="nobody"):
        relaying.relay(replace(parts, settings=settings), threading.Event())


@pytest.mark.kafka
@pytest.mark.timeout(400)
def test_a_night_from_packets_to_subscribers_of_gcn(own_kafka: str, tmp_path: Path) -> None:
    night = make_night(7, datetime.now(UTC) - timedelta(minutes=10), 300.0, {"ztf": 2.0}, cutouts=False, history=5)
    for packet in night.packets():
        folder = tmp_path / ("survey" if packet.stream == "ztf" else "notices")
        folder.mkdir(exist_ok=True)
        (folder / f"{packet.name.replace('/', '_')}{packet.suffix}").write_bytes(packet.data)
    topic = new_topic(own_kafka, "gcn.notices.nuncius.alert")
    told = (
        f'[relay.gcn]\nkind = "gcn"\nfilters = ["event_counterparts", "gw_counterparts"]\ntopic = "{topic}"\nlevel = 1.0\n'
        f'bootstrap_servers = "{own_kafka}"\nproperties = {{ "security.protocol" = "plaintext" }}\n'
    )
    nuncius = install(tmp_path / "data", kafka=own_kafka, more=told)
    with nuncius.running("up", "--port", "0"):
        for folder in ("notices", "survey"):
            nuncius.run("ingest", str(tmp_path / folder))
            count = len(list((tmp_path / folder).iterdir()))
            streams = {"ztf"} if folder == "survey" else {"gcn", "lvk"}
            wait_for(lambda: received(nuncius, streams) == count, 120, f"{folder} are not processed")  # noqa: B023
        messages = read_gcn(own_kafka, topic, 1)
    notices = [json.loads(message.value()) for message in messages]
    validator = jsonschema_rs.validator_for(SCHEMA)
    for notice in notices:
        validator.validate(notice)
    merger = night.truth[0].name
    kilonova = next(truth for truth in night.truth if truth.kind == "kilonova" and truth.stream == "ztf")
    of_merger = [
        target
        for notice in notices
        for target in notice["data"]["targets"]
        if merger in {event["ref_ID"] for event in target["gcn_crossmatch"]}
    ]
    assert {target["id"].removeprefix("ztf:") for target in of_merger} & set(kilonova.packets)
    assert all(notice["data"]["photometry"] for notice in notices)
    ids = [dict(message.headers())["nuncius.delivery_id"] for message in messages]
    assert len(set(ids)) == len(ids)


def received(nuncius: Installation, streams: set[str]) -> int:
    counted = nuncius.json("status", "--json")["ledger"]["streams"]
    return sum(row["received"] for stream, row in counted.items() if stream in streams)
