"""What both engines of the log must do alike."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.errors import FencedError, LogUnavailableError, UsageError
from broker.record import Message, Record, TopicPartition
from broker.stream.embedded import EmbeddedLog
from broker.stream.kafka import KafkaLog
from broker.stream.log import Consumer, Log, TopicSpec

MANY = 10_000
PATIENCE = 30.0


@dataclass(frozen=True)
class Engine:
    """A log of the test's own: names are prefixed, so that tests can share one Kafka."""

    open: Callable[[], Log]
    prefix: str
    code: str  # opens the same log in another process

    def name(self, rest: str) -> str:
        return f"{self.prefix}{rest}"


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    opened: list[Log] = []
    prefix = f"t{uuid.uuid4().hex[:8]}."
    if request.param == "embedded":
        code = "import pathlib as p; from broker.stream.embedded import EmbeddedLog as L; "
        code += f"log = L(p.Path({str(tmp_path)!r}), lease=1)"
        make: Callable[[], Log] = lambda: EmbeddedLog(tmp_path, lease=1.0)  # noqa: E731
    else:
        servers = request.getfixturevalue("kafka_bootstrap")
        extra = {"session.timeout.ms": 3000, "heartbeat.interval.ms": 500}
        code = f"from broker.stream.kafka import KafkaLog as L; log = L({servers!r}, extra={extra!r})"
        make = lambda: KafkaLog(servers, extra=extra)  # noqa: E731

    def open_log() -> Log:
        opened.append(make())
        return opened[-1]

    yield Engine(open_log, prefix, code)
    for log in opened:
        log.close()


@pytest.fixture
def log(engine: Engine) -> Log:
    return engine.open()


@pytest.fixture
def topic(engine: Engine, log: Log) -> str:
    name = engine.name("raw.ztf")
    log.create_topic(name, TopicSpec(partitions=1))
    return name


def read(consumer: Consumer, count: int) -> list[Record]:
    """Records until there are so many, or patience ends."""
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE
    while len(records) < count and time.monotonic() < deadline:
        records += consumer.poll(MANY, 1 << 30, 0.5)
    return records


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def numbers(records: list[Record]) -> list[int]:
    return [int(record.value.strip()) for record in records]


def numbered(topic: str, *span: int, key: bytes | None = None) -> list[Message]:
    return [Message(topic, str(number).encode(), key) for number in range(*span)]


def test_what_is_appended_is_read_back_as_it_was(log, topic):
    headers = (("nuncius.origin", b"file:x#y"), ("twice", b"1"), ("twice", b"2"), ("empty", b""), ("\u03b1", bytes(range(256))))
    message = Message(topic, b"\x00value\xff", b"key\x00", headers, 1_700_000_000_123)
    log.append([message])
    (record,) = read(log.consumer(None, [topic]), 1)
    assert record == Record(topic, 0, 0, 1_700_000_000_123, b"key\x00", b"\x00value\xff", headers)


def test_appending_tells_where(engine, log, topic):
    assert log.append([]) == {}
    assert log.append(numbered(topic, 0, 3)) == {TopicPartition(topic, 0): [0, 1, 2]}
    wide = engine.name("wide")
    log.create_topic(wide, TopicSpec(partitions=3))
    told = log.append([*numbered(wide, 0, 50), *numbered(topic, 3, 5)])
    assert told.pop(TopicPartition(topic, 0)) == [3, 4]
    records = read(log.consumer(None, [wide]), 50)
    assert {(place, offset) for place, offsets in told.items() for offset in offsets} == {(r.place, r.offset) for r in records}


def test_without_a_time_a_record_gets_the_present(log, topic):
    before = time.time_ns() // 1_000_000
    log.append([Message(topic, b"x")])
    (record,) = read(log.consumer(None, [topic]), 1)
    assert before <= record.timestamp <= time.time_ns() // 1_000_000
    assert (record.key, record.headers) == (None, ())


@pytest.mark.parametrize("size", [0, 1, 100_000, 5_000_000])
def test_values_of_any_size(log, topic, size):
    value = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    log.append([Message(topic, value), Message(topic, b"after")])
    records = read(log.consumer(None, [topic]), 2)
    assert [record.value for record in records] == [value, b"after"]


def test_a_value_too_large_is_refused_and_nothing_appended(log, topic):
    with pytest.raises(UsageError, match="too large"):
        log.append([Message(topic, b"small"), Message(topic, bytes(9_000_000))])
    assert log.bounds(topic) == {TopicPartition(topic, 0): (0, 0)}


def test_order_holds_over_appends_large_and_small(log, topic):
    for start in range(0, 3000, 300):
        log.append(numbered(topic, start, start + 300))
        log.append([Message(topic, str(start + 299).encode().rjust(50_000))])
    records = read(log.consumer(None, [topic]), 3010)
    values = numbers(records)
    assert values == sorted(values)
    assert len(values) == 3010
    assert [record.offset for record in records] == list(range(3010))


def test_a_key_stays_in_its_partition_and_keys_spread(engine, log):
    name = engine.name("keyed")
    log.create_topic(name, TopicSpec(partitions=4))
    keys = [f"object-{number % 40}".encode() for number in range(400)]
    log.append([Message(name, str(number).encode(), key) for number, key in enumerate(keys)])
    records = read(log.consumer(None, [name]), 400)
    by_key = {key: {record.partition for record in records if record.key == key} for key in set(keys)}
    assert all(len(partitions) == 1 for partitions in by_key.values())
    assert len({record.partition for record in records}) == 4
    for partition in range(4):
        values = numbers([record for record in records if record.partition == partition])
        assert values == sorted(values)


def test_topics_are_made_once_and_listed(engine, log):
    name = engine.name("made")
    log.create_topic(name, TopicSpec(partitions=3))
    log.create_topic(name, TopicSpec(partitions=5))
    assert log.topics()[name] == 3
    assert not [name for name in log.topics() if name.startswith("__")]


def test_a_missing_topic_is_made_by_appending(engine, log):
    name = engine.name("unheard")
    log.append([Message(name, b"1")])
    assert log.topics()[name] == 1
    assert log.bounds(name) == {TopicPartition(name, 0): (0, 1)}


def test_polls_return_no_more_records_than_asked(log, topic):
    log.append(numbered(topic, 100))
    consumer = log.consumer(None, [topic])
    first = read_some(consumer, 7)
    assert numbers(first) == list(range(len(first)))
    assert 1 <= len(first) <= 7
    assert consumer.positions() == {TopicPartition(topic, 0): len(first)}


def read_some(consumer: Consumer, most: int) -> list[Record]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if records := consumer.poll(most, 1 << 30, 0.5):
            return records
    return []


def test_polls_return_about_as_many_bytes_as_asked(log, topic):
    log.append([Message(topic, bytes(100_000)) for _ in range(100)])
    consumer = log.consumer(None, [topic])
    read_some(consumer, 10)  # a reader may have to learn how large they are
    while consumer.lag()[TopicPartition(topic, 0)]:
        records = consumer.poll(MANY, 1_000_000, 1.0)
        assert sum(len(record.value) for record in records) <= 2_000_000


def test_a_quiet_topic_gives_nothing(log, topic):
    assert log.consumer(None, [topic]).poll(10, 1000, 0.05) == []


def test_a_group_goes_on_where_it_committed(engine, log, topic):
    log.append(numbered(topic, 10))
    group = engine.name("group")
    first = log.consumer(group, [topic])
    assert numbers(read(first, 10)) == list(range(10))
    place = TopicPartition(topic, 0)
    assert first.committed([place]) == {}
    first.commit({place: 4})
    assert first.committed([place]) == {place: 4}
    assert log.group_lag(group) == {place: 6}
    first.close()
    second = log.consumer(group, [topic])
    assert numbers(read(second, 6)) == [4, 5, 6, 7, 8, 9]


def test_groups_do_not_disturb_each_other(engine, log, topic):
    log.append(numbered(topic, 5))
    for group in (engine.name("one"), engine.name("two")):
        consumer = log.consumer(group, [topic])
        assert numbers(read(consumer, 5)) == [0, 1, 2, 3, 4]
        consumer.commit({TopicPartition(topic, 0): 5})


def test_a_reader_without_group_sees_all_and_keeps_nothing(log, topic):
    log.append(numbered(topic, 3))
    for _ in range(2):
        consumer = log.consumer(None, [topic])
        assert numbers(read(consumer, 3)) == [0, 1, 2]
        with pytest.raises(UsageError, match="group"):
            consumer.commit({TopicPartition(topic, 0): 3})


def test_latest_starts_with_what_comes(log, topic):
    log.append(numbered(topic, 3))
    consumer = log.consumer(None, [topic], "latest")
    log.append(numbered(topic, 3, 5))
    assert numbers(read(consumer, 2)) == [3, 4]


def test_a_group_started_at_latest_passes_over_the_past(engine, log, topic):
    log.append(numbered(topic, 3))
    consumer = log.consumer(engine.name("late"), [topic], "latest")
    assert until(lambda: not consumer.poll(10, 1000, 0.1) and consumer.assignment() != frozenset())
    assert until(lambda: not consumer.poll(10, 1000, 0.1) and set(consumer.lag().values()) == {0})
    log.append(numbered(topic, 3, 5))
    assert numbers(read(consumer, 2)) == [3, 4]


def test_seek_by_offset(log, topic):
    log.append(numbered(topic, 10))
    consumer = log.consumer(None, [topic])
    assert len(read(consumer, 10)) == 10
    consumer.seek(TopicPartition(topic, 0), 7)
    assert numbers(read(consumer, 3)) == [7, 8, 9]


def test_seek_by_time(log, topic):
    start = time.time_ns() // 1_000_000 - 100_000
    log.append([Message(topic, str(number).encode(), timestamp=start + 1000 * number) for number in range(10)])
    consumer = log.consumer(None, [topic])
    assert len(read(consumer, 10)) == 10
    consumer.seek_to_time(start + 6001)
    assert numbers(read(consumer, 3)) == [7, 8, 9]
    consumer.seek_to_time(start + 999_999_999)
    log.append(numbered(topic, 10, 11))
    assert numbers(read(consumer, 1)) == [10]


def test_a_group_seeks_by_time_before_it_has_partitions(engine, log, topic):
    start = time.time_ns() // 1_000_000 - 100_000
    log.append([Message(topic, str(number).encode(), timestamp=start + 1000 * number) for number in range(10)])
    consumer = log.consumer(engine.name("timed"), [topic])
    consumer.seek_to_time(start + 8000)
    assert numbers(read(consumer, 2)) == [8, 9]


def test_lag_falls_to_zero(engine, log, topic):
    log.append(numbered(topic, 10))
    consumer = log.consumer(engine.name("lag"), [topic])
    place = TopicPartition(topic, 0)
    assert len(read_some(consumer, 4)) == 4
    assert consumer.lag() == {place: 6}
    assert len(read(consumer, 6)) == 6
    assert consumer.lag() == {place: 0}


def test_lag_is_zero_behind_transactions(engine, log, topic):
    publisher = log.publisher(engine.name("markers"))
    for number in range(3):
        publisher.publish(numbered(topic, number, number + 1))
    consumer = log.consumer(engine.name("behind"), [topic])
    assert numbers(read(consumer, 3)) == [0, 1, 2]
    assert until(lambda: not consumer.poll(10, 1000, 0.1) and consumer.lag() == {TopicPartition(topic, 0): 0})


def test_lag_counts_a_topic_just_made(engine, log, topic):
    consumer = log.consumer(engine.name("fresh"), ["^" + engine.prefix.replace(".", r"\.") + r"raw\..+"])
    assert until(lambda: not consumer.poll(10, 1000, 0.1) and consumer.assignment() != frozenset())
    log.append(numbered(engine.name("raw.new"), 3))
    assert sum(consumer.lag().values()) == 3


def test_a_pattern_takes_up_new_topics(engine, log, topic):
    log.append(numbered(topic, 2))
    for group in (None, engine.name("pattern")):
        consumer = log.consumer(group, ["^" + engine.prefix.replace(".", r"\.") + r"raw\..+"])
        assert len(read(consumer, 2)) >= 2
        fresh = engine.name(f"raw.{'a' if group is None else 'b'}")
        log.append([Message(fresh, b"77"), Message(engine.name("alerts.ztf"), b"99")])
        seen: list[Record] = []
        assert until(lambda c=consumer, s=seen: s.extend(c.poll(10, 1000, 0.1)) or any(r.value == b"77" for r in s))
        assert all(record.topic != engine.name("alerts.ztf") for record in seen)


def test_members_share_partitions_and_inherit_them(engine, log):
    name, group = engine.name("shared"), engine.name("team")
    log.create_topic(name, TopicSpec(partitions=4))
    one, two = log.consumer(group, [name]), log.consumer(group, [name])

    def settled() -> bool:
        one.poll(10, 1000, 0.05)
        two.poll(10, 1000, 0.05)
        return len(one.assignment()) == 2 and len(two.assignment()) == 2

    assert until(settled)
    assert not one.assignment() & two.assignment()
    one.close()
    assert until(lambda: not two.poll(10, 1000, 0.05) and len(two.assignment()) == 4)


def test_the_partitions_of_a_killed_member_pass_on(engine, log, topic):
    log.append(numbered(topic, 10))
    group = engine.name("mortal")
    code = (
        f"{engine.code}; c = log.consumer({group!r}, [{topic!r}])\n"
        "while not c.poll(3, 1 << 20, 1.0): pass\n"
        "print('read', flush=True); import time; time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "read\n"
        heir = log.consumer(group, [topic])
        assert heir.poll(10, 1000, 0.3) == []
        other.send_signal(signal.SIGKILL)
    assert numbers(read(heir, 10)) == list(range(10))


def test_a_member_that_lost_a_partition_cannot_commit_it(engine, log):
    name, group = engine.name("fenced"), engine.name("zombies")
    log.create_topic(name, TopicSpec(partitions=2))
    log.append([Message(name, b"0", f"k{number}".encode()) for number in range(20)])
    one = log.consumer(group, [name])
    mine = {record.place for record in read(one, 20)}
    assert len(mine) == 2
    two = log.consumer(group, [name])
    publisher = log.publisher(engine.name("late"))

    def handed_over() -> bool:
        two.poll(10, 1000, 0.05)
        one.poll(10, 1000, 0.05)
        return len(two.assignment()) == 1

    assert until(handed_over)
    gone = two.assignment()
    assert one.lost() == gone
    assert one.lost() == frozenset()
    out = engine.name("out")
    log.create_topic(out, TopicSpec())
    with pytest.raises(LogUnavailableError, match="took over"):
        one.commit(dict.fromkeys(gone, 1))
    with pytest.raises(LogUnavailableError, match="took over"):
        publisher.publish(numbered(out, 1), one, dict.fromkeys(mine, 1))
    publisher.publish(numbered(out, 1, 2), one, dict.fromkeys(mine - gone, 1))
    assert numbers(read(log.consumer(None, [out]), 1)) == [1]


def test_paused_partitions_give_nothing(engine, log):
    quiet, loud = engine.name("quiet"), engine.name("loud")
    log.append([*numbered(quiet, 5), *numbered(loud, 5)])
    consumer = log.consumer(engine.name("pausing"), [quiet, loud])
    assert len(read(consumer, 10)) == 10
    consumer.seek(TopicPartition(quiet, 0), 2)
    consumer.pause([TopicPartition(quiet, 0)])
    log.append([*numbered(quiet, 5, 8), *numbered(loud, 5, 8)])
    records = read(consumer, 3) + consumer.poll(10, 1000, 0.3)
    assert {record.topic for record in records} == {loud}
    assert numbers(records) == [5, 6, 7]


def test_outputs_and_offsets_are_published_together(engine, log, topic):
    log.append(numbered(topic, 5))
    group, out = engine.name("worker"), engine.name("alerts.ztf")
    consumer = log.consumer(group, [topic])
    records = read(consumer, 5)
    publisher = log.publisher(engine.name("p"))
    place = TopicPartition(topic, 0)
    publisher.publish([Message(out, record.value, b"k", (("h", b"v"),)) for record in records], consumer, {place: 5})
    published = read(log.consumer(None, [out]), 5)
    assert numbers(published) == [0, 1, 2, 3, 4]
    assert {record.headers for record in published} == {(("h", b"v"),)}
    assert consumer.committed([place]) == {place: 5}
    publisher.publish([], consumer, {place: 5})
    publisher.publish([])
    consumer.close()
    assert log.consumer(group, [topic]).poll(10, 1000, 0.5) == []


def test_what_fails_is_seen_by_nobody(engine, log, topic):
    log.append(numbered(topic, 5))
    out, group = engine.name("alerts.ztf"), engine.name("worker")
    log.create_topic(out, TopicSpec())
    consumer = log.consumer(group, [topic])
    assert len(read(consumer, 5)) == 5
    publisher = log.publisher(engine.name("p"))
    place = TopicPartition(topic, 0)
    with pytest.raises(UsageError, match="too large"):
        publisher.publish([*numbered(out, 3), Message(out, bytes(9_000_000))], consumer, {place: 5})
    assert consumer.committed([place]) == {}
    publisher.publish(numbered(out, 7, 8), consumer, {place: 1})
    assert numbers(read(log.consumer(None, [out]), 1)) == [7]
    assert consumer.committed([place]) == {place: 1}


def test_a_newer_publisher_fences_off_the_older(engine, log, topic):
    name = engine.name("process-1")
    older = log.publisher(name)
    older.publish(numbered(topic, 1))
    newer = log.publisher(name)
    with pytest.raises(FencedError, match="name"):
        older.publish(numbered(topic, 1, 2))
    newer.publish(numbered(topic, 2, 3))
    with pytest.raises(FencedError):
        older.publish(numbered(topic, 3, 4))
    assert numbers(read(log.consumer(None, [topic]), 2)) == [0, 2]


def test_what_a_killed_publisher_left_open_is_seen_by_nobody(engine, log):
    name, out = engine.name("mortal"), engine.name("alerts.ztf")
    log.create_topic(out, TopicSpec())
    # The second look at the messages is that of the transaction under way: it never ends.
    code = (
        f"{engine.code}; from broker.record import Message; import time\n"
        f"p = log.publisher({name!r}); p.publish([Message({out!r}, b'0')])\n"
        "class Endless(list):\n"
        "    looks = 0\n"
        "    def __iter__(self):\n"
        "        self.looks += 1\n"
        "        return super().__iter__() if self.looks == 1 else self.endless()\n"
        "    def endless(self):\n"
        "        for _ in range(20000): yield self[0]\n"
        "        print('midway', flush=True); time.sleep(600)\n"
        f"p.publish(Endless([Message({out!r}, b'13')]))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "midway\n"
        other.send_signal(signal.SIGKILL)
    log.publisher(name).publish(numbered(out, 1, 2))
    records = read(log.consumer(None, [out]), 2)
    assert numbers(records) == [0, 1]


def test_what_was_appended_outlives_the_log_object(engine, topic):
    first = engine.open()
    first.append([*numbered(topic, 5), Message(topic, b"6".rjust(200_000))])
    consumer = first.consumer(engine.name("g"), [topic])
    assert len(read(consumer, 6)) == 6
    consumer.commit({TopicPartition(topic, 0): 2})
    first.close()
    second = engine.open()
    assert numbers(read(second.consumer(engine.name("g"), [topic]), 4)) == [2, 3, 4, 6]


def test_a_reader_is_woken_by_another_process(engine, log, topic):
    consumer = log.consumer(None, [topic])
    assert consumer.poll(10, 1000, 0.05) == []
    code = f"{engine.code}; from broker.record import Message; log.append([Message({topic!r}, b'1')])"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert numbers(read(consumer, 1)) == [1]


def test_closed_readers_are_let_go(log: Log, topic: str) -> None:
    consumer, publisher = log.consumer(None, [topic]), log.publisher(uuid.uuid4().hex)
    gone = [weakref.ref(consumer), weakref.ref(publisher)]
    consumer.close()
    publisher.close()
    assert consumer.closed
    assert publisher.closed
    del consumer, publisher
    log.consumer(None, [topic])
    gc.collect()
    assert [each() for each in gone] == [None, None]
