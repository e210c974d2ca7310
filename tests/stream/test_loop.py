"""The loop on the embedded log: nothing lost, nothing twice, whatever goes wrong."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from broker import topics
from broker.alert import Batch, Rejection
from broker.errors import LogUnavailableError, StoreUnavailableError
from broker.record import Message, Record, TopicPartition, header
from broker.stream.deadletter import dead_letter
from broker.stream.embedded import EmbeddedLog
from broker.stream.halts import Halts
from broker.stream.log import Consumer, Log, Publisher, TopicSpec
from broker.stream.loop import BackOff, HaltRule, Limits, Outcome, run

SOON = BackOff(first=0.001, longest=0.01)
SMALL = Limits(max_records=7, linger=0.01)


def outcome(stream: str, records: list[Record]) -> Outcome:
    """An alert a record; those that say ``bad`` are rejected."""
    good = [index for index, record in enumerate(records) if b"bad" not in record.value]
    bad = [index for index in range(len(records)) if index not in good]
    frame = pl.DataFrame({"_record": good}, schema={"_record": pl.UInt32})
    rejected = tuple(Rejection(index, "it says so", "decode") for index in bad)
    batch = Batch(stream, tuple(records), frame, len(records), rejected)
    return Outcome(batch, [Message(topics.alerts(stream), records[index].value, records[index].key) for index in good])


@pytest.fixture
def log(tmp_path: Path):
    log = EmbeddedLog(tmp_path, lease=1.0)
    log.create_topic("raw.ztf", TopicSpec(partitions=3))
    log.create_topic("raw.gcn", TopicSpec())
    yield log
    log.close()


def fill(log: Log, count: int = 100) -> list[bytes]:
    values = [f"{number}".encode() for number in range(count)]
    log.append([Message("raw.ztf" if number % 3 else "raw.gcn", value, value) for number, value in enumerate(values)])
    return sorted(values)


def values_of(log: Log, topic: str) -> list[bytes]:
    if topic not in log.topics():
        return []
    consumer = log.consumer(None, [topic])
    return sorted(record.value for record in consumer.poll(100_000, 1 << 30, 0))


def published(log: Log) -> list[bytes]:
    return sorted(values_of(log, "alerts.ztf") + values_of(log, "alerts.gcn"))


def drain(log: Log, work, *, on_batch=None, halt=HaltRule(), publisher: Publisher | None = None):  # noqa: B008
    consumer = log.consumer("process", [topics.RAW_PATTERN])
    try:
        return run(
            consumer,
            publisher or log.publisher("process-1"),
            work,
            on_batch=on_batch or (lambda *_: None),
            stop=threading.Event(),
            limits=SMALL,
            halt=halt,
            drain=True,
            back_off=SOON,
        )
    finally:
        consumer.close()


def test_drain_publishes_everything_once_and_returns(log):
    values = fill(log)
    told: list[tuple[list[Outcome], dict[TopicPartition, int]]] = []
    assert drain(log, outcome, on_batch=lambda *batch: told.append(batch)) == frozenset()
    assert published(log) == values
    assert set(log.group_lag("process").values()) == {0}
    assert sum(out.batch.received for outcomes, _ in told for out in outcomes) == 100
    assert all(sum(out.batch.received for out in outcomes) <= SMALL.max_records for outcomes, _ in told)
    assert drain(log, outcome) == frozenset()
    assert published(log) == values


def test_work_sees_one_stream_at_a_time_in_order(log):
    fill(log)
    seen: dict[TopicPartition, list[int]] = {}

    def work(stream: str, records: list[Record]) -> Outcome:
        assert {record.topic for record in records} == {topics.raw(stream)}
        for record in records:
            seen.setdefault(record.place, []).append(record.offset)
        return outcome(stream, records)

    drain(log, work)
    assert len(seen) == 4
    assert all(offsets == list(range(len(offsets))) for offsets in seen.values())


@pytest.mark.parametrize("where", ["work", "publish", "after publish", "on_batch"])
def test_after_a_fault_that_passes_nothing_is_lost_or_doubled(log, where):
    values = fill(log)
    turns = itertools.count()

    def fail(here: str) -> None:
        if here == where and next(turns) % 3 == 0:
            raise StoreUnavailableError(f"away in {here}")

    def work(stream: str, records: list[Record]) -> Outcome:
        fail("work")
        return outcome(stream, records)

    told: list[int] = []

    def on_batch(outcomes: list[Outcome], offsets: dict[TopicPartition, int]) -> None:
        fail("on_batch")
        told.append(sum(out.batch.received for out in outcomes))

    inner = log.publisher("process-1")
    drain(log, work, on_batch=on_batch, publisher=Unreliable(inner, fail))
    assert published(log) == values
    assert sum(told) == 100


class Unreliable:
    """A real publisher whose line breaks before or after the transaction."""

    def __init__(self, inner: Publisher, fail: Callable[[str], None]) -> None:
        self.inner = inner
        self.fail = fail

    def publish(self, messages, consumer: Consumer | None = None, offsets=None) -> None:
        if messages:
            self.fail("publish")
        self.inner.publish(messages, consumer, offsets)
        if messages:
            self.fail("after publish")

    def close(self) -> None:
        self.inner.close()


def test_a_bug_ends_the_loop_and_loses_nothing(log):
    values = fill(log)

    def work(stream: str, records: list[Record]) -> Outcome:
        if any(record.value == b"50" for record in records):
            raise ZeroDivisionError("a bug")
        return outcome(stream, records)

    with pytest.raises(ZeroDivisionError):
        drain(log, work)
    assert b"50" not in published(log)
    assert values_of(log, topics.DEAD_LETTER) == []
    drain(log, outcome)
    assert published(log) == values


def test_a_stream_mostly_rejected_halts_and_the_others_go_on(log):
    log.append([Message("raw.ztf", b"bad", b"k") for _ in range(200)])
    log.append([Message("raw.gcn", str(number).encode()) for number in range(200)])
    halted = drain(log, outcome, halt=HaltRule(minimum=50, fraction=0.5))
    assert halted == {"ztf"}
    assert len(values_of(log, "alerts.gcn")) == 200
    letters = len(values_of(log, topics.DEAD_LETTER))
    assert 50 <= letters < 70
    assert sum(log.group_lag("process").values()) == 200 - letters


def test_bytes_nobody_recognises_never_halt(log):
    log.append([Message("raw.unknown", b"bad") for _ in range(200)])
    assert drain(log, outcome, halt=HaltRule(minimum=50, fraction=0.5)) == frozenset()
    assert len(values_of(log, topics.DEAD_LETTER)) == 200


def test_a_stream_with_some_rejected_does_not_halt(log):
    log.append([Message("raw.gcn", b"good" if number % 3 else b"bad") for number in range(200)])
    assert drain(log, outcome, halt=HaltRule(minimum=50, fraction=0.5)) == frozenset()
    assert len(values_of(log, topics.DEAD_LETTER)) == 67


def test_dead_letters_keep_bytes_key_and_headers(log):
    headers = (("nuncius.origin", b"file:x"), ("content-type", b"avro/binary"))
    log.append([Message("raw.gcn", b"fine"), Message("raw.gcn", b"\xffbad\x00", b"key", headers)])
    drain(log, outcome)
    (letter,) = log.consumer(None, [topics.DEAD_LETTER]).poll(10, 1000, 0)
    assert (letter.value, letter.key, letter.headers[-2:]) == (b"\xffbad\x00", b"key", headers)
    told = [header(letter, name) for name in (topics.HEADER_DEAD_REASON, topics.HEADER_DEAD_STAGE, topics.HEADER_DEAD_TOPIC)]
    assert told == ["it says so", "decode", "raw.gcn"]
    assert (header(letter, topics.HEADER_DEAD_PARTITION), header(letter, topics.HEADER_DEAD_OFFSET)) == ("0", "1")


def test_a_container_is_one_dead_letter_however_many_of_its_alerts_are_bad():
    record = Record("raw.ztf", 0, 5, 0, None, b"container")
    rejected = tuple(Rejection(0, f"reason {unit} \u03b1" * 100, "decode", unit) for unit in range(20))
    (letter,) = dead_letter(Batch("ztf", (record,), pl.DataFrame(), 20, rejected))
    headers = dict(letter.headers)
    assert headers[topics.HEADER_DEAD_UNITS] == b"20"
    assert headers[topics.HEADER_DEAD_REASON].decode().startswith("alert 0: reason 0")
    assert len(headers[topics.HEADER_DEAD_REASON]) <= 2000


def test_stop_ends_the_loop_even_while_the_log_is_away(log):
    fill(log)
    stop = threading.Event()

    def work(stream: str, records: list[Record]) -> Outcome:
        stop.set()
        raise LogUnavailableError("away")

    consumer = log.consumer("process", [topics.RAW_PATTERN])
    arguments = {"on_batch": lambda *_: None, "stop": stop, "back_off": BackOff(first=600.0, longest=600.0)}
    assert run(consumer, log.publisher("process-1"), work, **arguments) == frozenset()
    assert published(log) == []


def test_two_members_share_the_work_and_one_leaving_costs_nothing(log):
    values = fill(log, 600)
    stops = [threading.Event(), threading.Event()]
    threads = []
    for number, stop in enumerate(stops):

        def work(stream: str, records: list[Record], stop: threading.Event = stop, number: int = number) -> Outcome:
            if number == 0 and any(record.offset > 20 for record in records):
                stop.set()
            return outcome(stream, records)

        def member(stop: threading.Event = stop, number: int = number, work=work) -> None:
            consumer = log.consumer("process", [topics.RAW_PATTERN])
            publisher = log.publisher(f"process-{number}")
            run(consumer, publisher, work, on_batch=lambda *_: None, stop=stop, limits=SMALL, back_off=SOON)
            consumer.close()

        threads.append(threading.Thread(target=member))
        threads[-1].start()
    threads[0].join(60)
    assert not threads[0].is_alive()
    waker = threading.Event()
    for _ in range(600):
        if sum(log.group_lag("process").values()) == 0 and len(log.group_lag("process")) == 4:
            break
        waker.wait(0.05)
    stops[1].set()
    threads[1].join(60)
    assert published(log) == values


KILLED = """
import os, pathlib, signal, sys, threading
from broker import topics
from broker.stream.embedded import EmbeddedLog
from broker.stream.halts import Halts
from broker.stream.loop import Limits, run
from tests.stream.test_loop import outcome

log = EmbeddedLog(pathlib.Path(sys.argv[1]), lease=0.3)
turns = int(sys.argv[2])

def work(stream, records):
    global turns
    turns -= 1
    if turns < 0:
        os.kill(os.getpid(), signal.SIGKILL)  # polled, not yet published
    return outcome(stream, records)

run(log.consumer("process", [topics.RAW_PATTERN]), log.publisher("process-1"), work, on_batch=lambda *_: None,
    stop=threading.Event(), limits=Limits(max_records=7), drain=True)
"""


def test_kill_9_between_poll_and_publish(log, tmp_path):
    values = fill(log, 120)
    root = Path(__file__).parent.parent.parent
    for turns in (0, 1, 3, 5):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(turns)]
        assert subprocess.run(command, check=False, cwd=root).returncode == -signal.SIGKILL
    before = published(log)
    assert 0 < len(before) < 120
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "1000"], check=True, cwd=root)
    assert published(log) == values


def test_who_cannot_be_told_of_a_halt_is_told_later():
    told: list[str] = []
    away = iter([True, True, False])

    def on_halt(stream: str) -> None:
        if next(away):
            raise LogUnavailableError("away")
        told.append(stream)

    halts = Halts(HaltRule(minimum=10), on_halt)
    halts.count(Batch("ztf", (), pl.DataFrame(), 10, tuple(Rejection(0, "bad", "decode") for _ in range(10))))
    assert halts.streams == {"ztf"}
    for _ in range(2):
        with pytest.raises(LogUnavailableError):
            halts.tell()
    halts.tell()
    halts.tell()
    assert told == ["ztf"]
