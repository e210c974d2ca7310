"""Reading the embedded log, as a member of a group or alone."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.errors import LogUnavailableError, NunciusError, UsageError
from broker.record import Record, TopicPartition
from broker.stream import embedded_group as groups
from broker.stream.embedded_file import Handle, unpack_headers
from broker.stream.embedded_write import ROW_BITS
from broker.stream.log import Start

__all__ = ["EmbeddedConsumer", "Member"]

LOOK_SECONDS = 0.05  # between looks at what rings no bell: members that come and go, a writer that died before ringing

_ROWS = "SELECT id, time, key, headers, segment, place, size, value FROM records WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"


@dataclass(frozen=True, slots=True)
class Member:
    """Who reads: the group's number in the database, and a name nobody else has."""

    group: int
    name: str


class EmbeddedConsumer:
    """Reader of the embedded log; see `broker.stream.log.Consumer`.

    Parameters
    ----------
    folder
        The log's.
    group
        Name of the consumer group, or ``None`` to read everything alone.
    topics, start
        As in `broker.stream.log.Log.consumer`.
    lease
        Seconds without a sign of life after which the group gives a member's partitions to others.
    """

    def __init__(
        self, folder: Path, group: str | None, topics: Sequence[str], start: Start, *, durable: bool, lease: float
    ) -> None:
        self.folder = folder
        self._handle = Handle(folder, durable=durable)
        self._guard = threading.RLock()
        self._patterns = tuple(topics)
        self._start = start
        self._lease_ms = int(lease * 1000)
        self._places: dict[int, TopicPartition] = {}
        self._positions: dict[int, int] = {}
        self._read: set[int] = set()
        self._epochs: dict[int, int] = {}
        self._paused: set[int] = set()
        self._lost: set[TopicPartition] = set()
        self._version = -1
        self._turn = 0
        self._seek_time: int | None = None
        self._closed = threading.Event()
        self.member: Member | None = None
        self._heart: threading.Thread | None = None
        with self._handle.reading() as db:
            self._old = set(groups.partitions_of(db))  # with "latest", a partition made later is read from its start
        if group is not None:
            self._join(group)
        self._refresh()

    def _join(self, group: str) -> None:
        with self._handle.writing() as db:
            self.member = Member(groups.group_id(db, group), f"{os.getpid()}-{uuid.uuid4().hex}")
        arguments = (self.folder, self.member, self._lease_ms, self._closed)
        self._heart = threading.Thread(target=_beat, args=arguments, name=f"heartbeat-{group}", daemon=True)
        self._heart.start()

    def poll(self, max_records: int, max_bytes: int, timeout: float) -> list[Record]:
        """See `broker.stream.log.Consumer.poll`."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self._handle.rung()
            with self._guard:
                records = self._read_ready(self._refresh(), max_records, max_bytes)
            left = deadline - time.monotonic()
            if records or left <= 0:
                return records
            self._handle.wait(seen, min(left, LOOK_SECONDS))

    def _refresh(self) -> dict[int, tuple[int, int]]:
        """First and next offset of every partition, after seeing to which of them are ours."""
        member = self.member
        with self._handle.reading() as db:
            ends = _ends(db)
            same = len(ends) == len(self._places)
            if same and (member is None or groups.group_version(db, member.group) == self._version):
                return ends
        with self._handle.writing() as db:
            self._places = groups.partitions_of(db)
            ends = _ends(db)
            if member is None:
                leases, known = dict.fromkeys(groups.matching(self._places, self._patterns), 0), dict[int, int]()
            else:
                leases, self._version = groups.balance(db, member.group, member.name, self._patterns, self._lease_ms)
                known = groups.committed(db, member.group)
        self._take(leases, ends, known)
        return ends

    def _take(self, leases: dict[int, int], ends: Mapping[int, tuple[int, int]], known: Mapping[int, int]) -> None:
        """Hold these partitions: forget those lost, begin those won where the group is."""
        gone = {id_ for id_, epoch in self._epochs.items() if leases.get(id_) != epoch}
        won = [id_ for id_, epoch in leases.items() if self._epochs.get(id_) != epoch]
        self._lost |= {self._places[id_] for id_ in gone}
        self._paused -= gone
        self._read -= gone
        for id_ in gone:
            del self._positions[id_]
        self._epochs = leases
        for id_ in won:
            begin = ends[id_][1] if self._start == "latest" and id_ in self._old else ends[id_][0]
            self._positions[id_] = known.get(id_, begin)
        if won and self._seek_time is not None:
            moment, self._seek_time = self._seek_time, None
            self._seek_to_time(won, moment, ends)

    def _read_ready(self, ends: Mapping[int, tuple[int, int]], max_records: int, max_bytes: int) -> list[Record]:
        """What there is, a fair share from each partition, each time starting with another one."""
        ready = [id_ for id_, at in self._positions.items() if id_ not in self._paused and ends[id_][1] > at]
        self._turn += 1
        cut = self._turn % len(ready) if ready else 0
        records: list[Record] = []
        ends_read: dict[int, int] = {}
        size = 0
        for done, id_ in enumerate((*ready[cut:], *ready[:cut])):
            waiting = len(ready) - done
            count = -(-(max_records - len(records)) // waiting)
            if count <= 0 or (records and size >= max_bytes):
                break
            first = max(self._positions[id_], ends[id_][0])  # what retention dropped is passed over
            found = self._read_partition(id_, first, count, (max_bytes - size) // waiting, allow_one=not records)
            if found:
                records += found
                size += sum(len(record.value) for record in found)
                ends_read[id_] = found[-1].offset + 1
        # Only now: had a later partition failed to be read, nobody would have got what the earlier ones gave.
        self._positions |= ends_read
        self._read |= ends_read.keys()
        return records

    def _read_partition(self, id_: int, first: int, count: int, room: int, *, allow_one: bool) -> list[Record]:
        place, base = self._places[id_], id_ << ROW_BITS
        records: list[Record] = []
        with self._handle.reading() as db, contextlib.closing(db.cursor()) as cursor:
            for row, when, key, headers, segment, at, size, inline in cursor.execute(
                _ROWS, (base | first, base + (1 << ROW_BITS), count)
            ):
                room -= size
                if room < 0 and (records or not allow_one):
                    break
                value = inline
                if segment is not None:
                    try:
                        value = self._handle.read_value(segment, at, size)
                    except FileNotFoundError:
                        self._check_expired(db, id_, row - base)
                        break
                records.append(Record(place.topic, place.partition, row - base, when, key, value, unpack_headers(headers)))
        return records

    def _check_expired(self, db: sqlite3.Connection, id_: int, offset: int) -> None:
        """See that a payload is gone because its time was up."""
        first = db.execute("SELECT first FROM partitions WHERE id = ?", (id_,)).fetchone()[0]
        if offset >= first:
            message = (
                f"the payload of {self._places[id_]} offset {offset} is gone from {self._handle.values}: restore that folder"
            )
            raise NunciusError(message)

    def assignment(self) -> frozenset[TopicPartition]:
        """See `broker.stream.log.Consumer.assignment`."""
        with self._guard:
            return frozenset(self._places[id_] for id_ in self._positions)

    def lost(self) -> frozenset[TopicPartition]:
        """See `broker.stream.log.Consumer.lost`."""
        with self._guard:
            lost, self._lost = self._lost, set()
            return frozenset(lost)

    def positions(self) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Consumer.positions`."""
        with self._guard:
            return {self._places[id_]: self._positions[id_] for id_ in self._read}

    def committed(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Consumer.committed`."""
        wanted = set(places)
        if self.member is None:
            return {}
        with self._guard, self._handle.reading() as db:
            known = groups.committed(db, self.member.group)
        return {self._places[id_]: offset for id_, offset in known.items() if self._places.get(id_) in wanted}

    def pause(self, places: Iterable[TopicPartition]) -> None:
        """See `broker.stream.log.Consumer.pause`."""
        with self._guard:
            self._paused |= {self._number(place) for place in places}

    def seek(self, place: TopicPartition, offset: int) -> None:
        """See `broker.stream.log.Consumer.seek`."""
        with self._guard:
            self._positions[self._number(place)] = offset

    def seek_to_time(self, timestamp: int) -> None:
        """See `broker.stream.log.Consumer.seek_to_time`."""
        with self._guard:
            ends = self._refresh()
            if self._positions:
                self._seek_to_time(list(self._positions), timestamp, ends)
            else:
                self._seek_time = timestamp

    def _seek_to_time(self, numbers: Iterable[int], timestamp: int, ends: Mapping[int, tuple[int, int]]) -> None:
        query = "SELECT id FROM records WHERE id >= ? AND id < ? AND time >= ? ORDER BY id LIMIT 1"
        with self._handle.reading() as db:
            for id_ in numbers:
                base = id_ << ROW_BITS
                row = db.execute(query, (base, base + (1 << ROW_BITS), timestamp)).fetchone()
                self._positions[id_] = ends[id_][1] if row is None else row[0] - base

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `broker.stream.log.Consumer.commit`."""
        with self._guard, self._handle.writing() as db:
            self.commit_within(db, offsets)

    def commit_within(self, db: sqlite3.Connection, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit as part of the write transaction `db` is in, which may be another connection's."""
        member = self.member
        if member is None:
            message = "a reader without a group keeps no offsets: give it a group to commit"
            raise UsageError(message)
        numbers = {place: id_ for id_, place in self._places.items()}
        by_number = {numbers[place]: offset for place, offset in offsets.items()}
        groups.check_leases(db, member.group, member.name, {id_: self._epochs.get(id_, -1) for id_ in by_number})
        groups.keep_offsets(db, member.group, by_number)

    def lag(self) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Consumer.lag`."""
        with self._guard:
            ends = self._refresh()
            return {self._places[id_]: ends[id_][1] - max(at, ends[id_][0]) for id_, at in self._positions.items()}

    def _number(self, place: TopicPartition) -> int:
        number = next((id_ for id_ in self._positions if self._places[id_] == place), None)
        if number is None:
            message = f"{place.topic}/{place.partition} is not assigned to this reader"
            raise LogUnavailableError(message)
        return number

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._closed.is_set()

    def close(self) -> None:
        """See `broker.stream.log.Consumer.close`."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._heart is not None:
            self._heart.join()
        with self._guard:
            if self.member is not None:
                with contextlib.suppress(LogUnavailableError), self._handle.writing() as db:
                    groups.leave(db, self.member.group, self.member.name)
            self._handle.close()


def _ends(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    return {id_: (first, after) for id_, first, after in db.execute("SELECT id, first, next FROM partitions")}


def _beat(folder: Path, member: Member, lease_ms: int, closed: threading.Event) -> None:
    """Say that a member is alive, often enough to miss two; whatever keeps the database busy passes."""
    handle = Handle(folder, durable=False)
    try:
        while not closed.wait(lease_ms / 4000):
            with contextlib.suppress(LogUnavailableError), handle.writing() as db:
                groups.beat(db, member.group, member.name, lease_ms)
    finally:
        handle.close()
