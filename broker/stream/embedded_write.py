"""Appending to the embedded log, and dropping what is past its time. Everything here runs inside one write transaction."""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.errors import LogUnavailableError, UsageError
from broker.record import Message, TopicPartition
from broker.stream.embedded_file import SEGMENT_BYTES, Handle, pack_headers
from broker.stream.log import TopicSpec

__all__ = ["ROW_BITS", "Topic", "append", "create_topic", "drop_expired", "find_topic", "now"]

ROW_BITS = 40  # of a record's row number hold its offset
INLINE_BYTES = 32_768  # below this, a topic's payloads of one append go into the database: one flush instead of two
EXPIRE_STEP = 1000  # records

_INSERT = "INSERT INTO records (id, time, appended, key, headers, segment, place, size, value) VALUES (?,?,?,?,?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the database has it: its number, its partitions' numbers in order, and the largest payload it takes."""

    id: int
    partitions: tuple[int, ...]
    max_bytes: int


def now() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def find_topic(db: sqlite3.Connection, name: str) -> Topic | None:
    """Topic of that name, if there is one."""
    row = db.execute("SELECT id, max_bytes FROM topics WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    partitions = db.execute("SELECT id FROM partitions WHERE topic = ? ORDER BY number", (row[0],))
    return Topic(row[0], tuple(id_ for (id_,) in partitions), row[1])


def create_topic(db: sqlite3.Connection, name: str, spec: TopicSpec) -> Topic:
    """Make a topic, or find it where it exists."""
    retention = None if spec.retention_hours is None else int(spec.retention_hours * 3_600_000)
    db.execute(
        "INSERT INTO topics (name, retention_ms, max_bytes) VALUES (?,?,?) ON CONFLICT (name) DO NOTHING",
        (name, retention, spec.max_message_bytes),
    )
    topic = find_topic(db, name)
    assert topic is not None
    if not topic.partitions:
        rows = [(topic.id, number) for number in range(spec.partitions)]
        db.executemany("INSERT INTO partitions (topic, number) VALUES (?,?)", rows)
        topic = find_topic(db, name)
        assert topic is not None
    return topic


def append(
    handle: Handle, db: sqlite3.Connection, topics: dict[str, Topic], messages: Sequence[Message]
) -> dict[TopicPartition, list[int]]:
    """Append messages to topics that exist; their offsets by partition.

    Raises
    ------
    UsageError
        A payload is larger than its topic takes.
    """
    by_topic: dict[str, list[Message]] = {}
    for message in messages:
        by_topic.setdefault(message.topic, []).append(message)
    appended: dict[TopicPartition, list[int]] = {}
    for name, group in by_topic.items():
        appended |= _append_topic(handle, db, name, topics[name], group)
    return appended


def _append_topic(
    handle: Handle, db: sqlite3.Connection, name: str, topic: Topic, messages: list[Message]
) -> dict[TopicPartition, list[int]]:
    _check_sizes(name, topic, messages)
    moment = now()
    values = [message.value for message in messages]
    large = sum(map(len, values)) >= INLINE_BYTES
    segment, place = _write_values(handle, db, topic.id, values, moment) if large else (None, 0)
    marks = ",".join("?" * len(topic.partitions))
    known = db.execute(f"SELECT id, next FROM partitions WHERE id IN ({marks})", topic.partitions)  # noqa: S608 - question marks
    ends: dict[int, int] = dict(known.fetchall())
    before = dict(ends)
    count = len(topic.partitions)
    spread = sum(ends.values())  # records without a key go round from where the last ones stopped
    rows = []
    for message in messages:
        key = message.key
        partition = topic.partitions[0 if count == 1 else (zlib.crc32(key) if key is not None else spread) % count]
        offset = ends[partition]
        ends[partition] = offset + 1
        spread += 1
        size = len(message.value)
        when = moment if message.timestamp is None else message.timestamp
        packed = pack_headers(message.headers)
        value = message.value if segment is None else None
        rows.append((partition << ROW_BITS | offset, when, moment, key, packed, segment, place, size, value))
        place += size
    db.executemany(_INSERT, rows)
    moved = [(end, partition) for partition, end in ends.items() if end != before[partition]]
    db.executemany("UPDATE partitions SET next = ? WHERE id = ?", moved)
    number = topic.partitions.index
    return {TopicPartition(name, number(id_)): list(range(before[id_], end)) for end, id_ in moved}


def _check_sizes(name: str, topic: Topic, messages: Iterable[Message]) -> None:
    largest = max(len(message.value) for message in messages)
    if largest > topic.max_bytes:
        message = f"a message of {largest} bytes is too large for topic {name}, which takes {topic.max_bytes}"
        raise UsageError(message)


def _write_values(handle: Handle, db: sqlite3.Connection, topic: int, values: list[bytes], moment: int) -> tuple[int, int]:
    """Payloads into the topic's newest file, behind the last committed one: what a crash left there is written over."""
    row = db.execute("SELECT id, size FROM segments WHERE topic = ? ORDER BY id DESC LIMIT 1", (topic,)).fetchone()
    if row is None or row[1] >= SEGMENT_BYTES:
        cursor = db.execute("INSERT INTO segments (topic, size, appended) VALUES (?,0,?)", (topic, moment))
        row = (cursor.lastrowid, 0)
    segment, place = row
    try:
        descriptor = handle.value_file(segment, create=True)
        at = place
        for first in range(0, len(values), 1024):  # as many as the kernel takes at a time
            at += _write_all(descriptor, values[first : first + 1024], at)
        if handle.durable:
            os.fdatasync(descriptor)
    except OSError as error:
        message = f"cannot write to {handle.values / str(segment)} ({error.strerror}): see that the disk is there and has room"
        raise LogUnavailableError(message) from error
    db.execute("UPDATE segments SET size = ?, appended = ? WHERE id = ?", (at, moment, segment))
    return segment, place


def _write_all(descriptor: int, values: list[bytes], at: int) -> int:
    """Write the values one after another from `at` on; the kernel may take fewer bytes than it is given."""
    total = sum(map(len, values))
    written = os.pwritev(descriptor, values, at)
    if written < total:
        rest = memoryview(b"".join(values))[written:]
        while rest:
            rest = rest[os.pwrite(descriptor, rest, at + total - len(rest)) :]
    return total


def drop_expired(db: sqlite3.Connection, moment: int) -> tuple[int, list[int]]:
    """Drop a step's worth of records appended longer ago than their topic keeps them.

    Time counts from the append and not from the record's own timestamp: old alerts played again stay as long as new ones.

    Returns
    -------
    dropped
        How many; zero once there is nothing left to drop.
    emptied
        Files of payloads to remove once the transaction is committed.
    """
    dropped = 0
    emptied: list[int] = []
    kept = "SELECT p.id, p.topic, p.first, ? - t.retention_ms FROM partitions p JOIN topics t ON t.id = p.topic"
    for partition, topic, first, limit in db.execute(kept + " WHERE t.retention_ms IS NOT NULL", (moment,)).fetchall():
        base = partition << ROW_BITS
        step = "SELECT id, appended FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
        found = f"SELECT max(id) FROM ({step}) WHERE appended < ?"  # noqa: S608 - the text above
        last = db.execute(found, (base | first, base + (1 << ROW_BITS), EXPIRE_STEP - dropped, limit)).fetchone()[0]
        if last is not None:
            dropped += db.execute("DELETE FROM records WHERE id >= ? AND id <= ?", (base | first, last)).rowcount
            db.execute("UPDATE partitions SET first = ? WHERE id = ?", (last - base + 1, partition))
        if dropped >= EXPIRE_STEP:
            return dropped, emptied
        old = db.execute("SELECT id FROM segments WHERE topic = ? AND appended < ?", (topic, limit)).fetchall()
        emptied += [segment for (segment,) in old]
    # Payloads of other partitions of the topic lie in the same files: files go only when all records past their time are gone.
    if dropped:
        return dropped, []
    db.executemany("DELETE FROM segments WHERE id = ?", [(segment,) for segment in set(emptied)])
    return 0, sorted(set(emptied))
