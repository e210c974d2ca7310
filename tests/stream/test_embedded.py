"""What only the embedded log does: retention, files of payloads, and surviving what can happen to one machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from broker.errors import NunciusError
from broker.record import Message, TopicPartition
from broker.stream.embedded import EmbeddedLog
from broker.stream.embedded_file import pack_headers, unpack_headers
from broker.stream.embedded_write import now
from broker.stream.log import TopicSpec

HOUR = 3_600_000
PLACE = TopicPartition("t", 0)


@pytest.fixture
def log(tmp_path: Path):
    log = EmbeddedLog(tmp_path)
    yield log
    log.close()


def test_retention_drops_what_is_past_its_time_in_its_own_topic(log, tmp_path):
    log.create_topic("t", TopicSpec(retention_hours=1.0))
    log.create_topic("kept", TopicSpec(retention_hours=None))
    for _ in range(3):
        log.append([Message(name, bytes(10), timestamp=0) for name in ("t", "kept") for _ in range(900)])
        log.append([Message(name, bytes(100_000), timestamp=0) for name in ("t", "kept")])
    consumer = log.consumer(None, ["t"])
    assert log.expire(now() + HOUR // 2) == 0  # a record's own time does not matter
    assert len(list((tmp_path / "values").iterdir())) == 2
    assert log.expire(now() + 2 * HOUR) == 2703
    assert log.bounds("t") == {PLACE: (2703, 2703)}
    assert log.bounds("kept") == {TopicPartition("kept", 0): (0, 2703)}
    assert len(list((tmp_path / "values").iterdir())) == 1
    assert consumer.lag() == {PLACE: 0}
    log.append([Message("t", b"new".rjust(100_000))])
    (record,) = consumer.poll(10, 1 << 20, 1.0)
    assert (record.offset, record.value.strip()) == (2703, b"new")


def test_a_reader_behind_retention_goes_on_with_what_is_left(log):
    log.create_topic("t", TopicSpec(retention_hours=1.0))
    log.append([Message("t", bytes(50_000)) for _ in range(5)])
    consumer = log.consumer(None, ["t"])
    assert len(consumer.poll(2, 1 << 30, 1.0)) == 2
    log.expire(now() + 2 * HOUR)
    log.append([Message("t", b"later")])
    assert [record.offset for record in consumer.poll(10, 1 << 30, 1.0)] == [5]


def test_a_torn_payload_is_written_over(log, tmp_path):
    """A crash after the payloads and before the commit leaves bytes behind the last record."""
    log.append([Message("t", b"a" * 100_000)])
    (path,) = (tmp_path / "values").iterdir()
    with path.open("ab") as file:
        file.write(b"torn" * 1000)
    log.append([Message("t", b"b" * 100_000), Message("t", b"c" * 40_000)])
    values = [record.value for record in log.consumer(None, ["t"]).poll(10, 1 << 30, 1.0)]
    assert values == [b"a" * 100_000, b"b" * 100_000, b"c" * 40_000]
    assert path.stat().st_size == 240_000


def test_a_missing_payload_file_is_an_error_and_not_silence(log, tmp_path):
    log.append([Message("t", b"a" * 100_000)])
    (path,) = (tmp_path / "values").iterdir()
    path.unlink()
    with pytest.raises(NunciusError, match="restore"):
        log.consumer(None, ["t"]).poll(10, 1 << 30, 1.0)


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "log.sqlite").write_bytes(b"something else entirely" * 1000)
    with pytest.raises(NunciusError, match="damaged or not a log"):
        EmbeddedLog(tmp_path)


def test_kill_9_while_appending_leaves_whole_appends(tmp_path):
    """Every append carries a small and a large record with the same number: both are there, or neither."""
    code = (
        "import sys, pathlib\n"
        "from broker.record import Message\n"
        "from broker.stream.embedded import EmbeddedLog\n"
        "log = EmbeddedLog(pathlib.Path(sys.argv[1]))\n"
        "for n in range(1_000_000):\n"
        "    number = str(n).encode()\n"
        "    log.append([Message('small', number), Message('large', number.rjust(200_000))])\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        while int(other.stdout.readline()) < 20:
            pass
        other.send_signal(signal.SIGKILL)
        rest = other.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else 20
    log = EmbeddedLog(tmp_path)
    found = {
        topic: [int(record.value.strip()) for record in log.consumer(None, [topic]).poll(10_000, 1 << 30, 0)]
        for topic in ("small", "large")
    }
    assert found["small"] == found["large"] == list(range(len(found["small"])))
    assert len(found["small"]) in {acknowledged + 1, acknowledged + 2}
    log.close()


def test_many_threads_append_and_none_is_lost(log):
    def append(thread: int) -> None:
        for number in range(50):
            log.append([Message("t", f"{thread}/{number}".encode())])

    threads = [threading.Thread(target=append, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = log.consumer(None, ["t"]).poll(1000, 1 << 30, 0)
    assert {record.value for record in records} == {f"{thread}/{n}".encode() for thread in range(4) for n in range(50)}
    assert [record.offset for record in records] == list(range(200))


def test_a_crowded_partition_does_not_starve_a_quiet_one(log):
    log.append([Message("loud", bytes(1000)) for _ in range(5000)])
    log.append([Message("quiet", b"x")])
    consumer = log.consumer(None, ["loud", "quiet"])
    assert "quiet" in {record.topic for _ in range(2) for record in consumer.poll(100, 1 << 30, 0)}


def test_all_descriptors_are_given_back(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    log = EmbeddedLog(tmp_path)
    log.append([Message("t", bytes(100_000))])
    log.consumer("g", ["t"]).poll(1, 1, 1.0)
    log.publisher("p").publish([Message("t", b"")])
    log.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("headers", [(), (("a", b""),), (("\u03b1\u03b2", bytes(range(256))), ("", b"x" * 70_000))])
def test_headers_come_back(headers):
    assert unpack_headers(pack_headers(headers)) == headers


def test_a_poll_that_fails_half_way_loses_nothing(log, tmp_path):
    for name in ("a", "b"):
        log.append([Message(name, f"{name}{number}".encode().rjust(100_000)) for number in range(3)])
        if name == "a":
            (first,) = (tmp_path / "values").iterdir()
    consumer = log.consumer("g", ["a", "b"])
    consumer.poll(1, 1, 1.0)
    for one in consumer.assignment():
        consumer.seek(one, 0)
    away = tmp_path / "away"
    for _ in range(2):  # the partitions take turns at being read first
        first.rename(away)
        with pytest.raises(NunciusError, match="restore that folder"):
            consumer.poll(10, 1 << 30, 1.0)
        away.rename(first)
    got = [record.value.strip() for _ in range(2) for record in consumer.poll(10, 1 << 30, 0.2)]
    assert sorted(got) == [b"a0", b"a1", b"a2", b"b0", b"b1", b"b2"]
