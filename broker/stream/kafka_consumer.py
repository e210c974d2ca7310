"""Reading Kafka, as a member of a group or alone."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from confluent_kafka import Consumer as Client
from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka import Message as Received
from confluent_kafka import TopicPartition as Place

from broker.errors import LogUnavailableError, NunciusError, UsageError
from broker.record import Record, TopicPartition
from broker.stream.kafka_client import ANSWER_SECONDS, EARLIEST, LATEST, Cluster, mapped, translate
from broker.stream.log import Start, subscribes

__all__ = ["KafkaConsumer"]

LOOK_SECONDS = 1.0  # between looks for new topics, for a reader without a group
WAIT_SECONDS = 0.1  # in one call of the client, which lets no other thread nor signal in
CHUNK = 500  # records taken from the client at once, unless they are large
_SEEK_SECONDS = 5.0

_PARTITION_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes
_STATE = KafkaError._STATE  # noqa: SLF001
_SAID_ELSEWHERE = {  # the client goes on by itself; error_cb has logged it
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
    KafkaError._TRANSPORT,  # noqa: SLF001
    KafkaError._RESOLVE,  # noqa: SLF001
    KafkaError._TIMED_OUT,  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
}


class KafkaConsumer:
    """See `broker.stream.log.Consumer`."""

    def __init__(self, cluster: Cluster, group: str | None, topics: Sequence[str], start: Start) -> None:
        self.closed = False
        self._cluster = cluster
        self._group = group
        self._patterns = tuple(topics)
        self._start = start
        self._guard = threading.RLock()
        self._fault: NunciusError | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._read: set[TopicPartition] = set()
        self._lost: set[TopicPartition] = set()
        self._revoked: set[TopicPartition] = set()
        self._alone: set[TopicPartition] = set()
        self._seek_time: int | None = None
        self._next_look = 0.0
        self._mean_size = 1.0
        settings = {
            **cluster.consumer_settings(),
            "group.id": group if group is not None else f"nuncius-{uuid.uuid4().hex}",
            "auto.offset.reset": start,
        }
        self._cooperative = settings["partition.assignment.strategy"] == "cooperative-sticky"
        self._client = Client(settings)
        if group is None:
            self._look(first=True)
        else:
            with translate(f"subscribing {group}", cluster.hint):
                self._client.subscribe(list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke)

    def _look(self, *, first: bool = False) -> None:
        """Take up partitions that have appeared; those there from the start begin as asked, later ones at their beginning."""
        self._next_look = time.monotonic() + LOOK_SECONDS
        known = self._cluster.topics()
        fresh = {
            TopicPartition(name, number) for name, count in known.items() if self._wants(name) for number in range(count)
        } - self._alone
        if not fresh:
            return
        spec = LATEST if first and self._start == "latest" else EARLIEST
        begin = self._cluster.offsets(fresh, spec)
        self._alone |= fresh
        self._positions |= begin
        with translate("assigning partitions", self._cluster.hint):
            self._client.incremental_assign([Place(topic, number, at) for (topic, number), at in begin.items()])

    def _wants(self, topic: str) -> bool:
        return subscribes(self._patterns, topic)

    def _on_assign(self, client: Client, places: list[Place]) -> None:
        if self._seek_time is not None and places:
            moment, self._seek_time = self._seek_time, None
            for place in places:
                place.offset = moment
            timed = client.offsets_for_times(places, ANSWER_SECONDS)
            (client.incremental_assign if self._cooperative else client.assign)(timed)

    def _on_revoke(self, _: Client, places: list[Place]) -> None:
        gone = {TopicPartition(place.topic, place.partition) for place in places}
        self._lost |= gone
        self._revoked |= gone
        self._read -= gone
        for place in gone:
            self._positions.pop(place, None)

    def poll(self, max_records: int, max_bytes: int, timeout: float) -> list[Record]:
        """See `broker.stream.log.Consumer.poll`; `max_bytes` can be overshot by a few records."""
        deadline = time.monotonic() + timeout
        records: list[Record] = []
        while True:
            left = deadline - time.monotonic()
            with self._guard:
                self._raise_fault()
                size = self._take(records, 1, max(0.0, min(left, WAIT_SECONDS)))
                while records and len(records) < max_records and size < max_bytes and self._fault is None:
                    room = int((max_bytes - size) / self._mean_size) + 1
                    got = self._take(records, min(CHUNK, max_records - len(records), room), 0)
                    if got < 0:
                        break
                    size += got
                if records:
                    return records
                self._raise_fault()
                if left <= 0:
                    return records
                if self._group is None and time.monotonic() > self._next_look:
                    self._look()

    def _raise_fault(self) -> None:
        """What went wrong when there were records to hand over first: the client has moved past them."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _take(self, records: list[Record], count: int, wait: float) -> int:
        """Add up to `count` records; their bytes, or -1 where there was nothing. A fault is kept until they are handed over."""
        received: list[Received] = []
        try:
            with translate("reading", self._cluster.hint):
                received = self._client.consume(count, wait)
        except NunciusError as error:
            self._fault = error
        if self._revoked:
            records[:] = [record for record in records if record.place not in self._revoked]
            self._revoked.clear()
        if not received:
            return -1 if wait == 0 else 0
        before, size = len(records), 0
        for message in received:
            if message.error() is not None:
                self._event(message)
            else:
                record = _record(message)
                records.append(record)
                size += len(record.value)
        ends = {record.place: record.offset + 1 for record in records[before:]}
        self._positions |= ends
        self._read |= ends.keys()
        if len(records) > before:
            self._mean_size += 0.2 * (size / (len(records) - before) - self._mean_size)
        return size

    def _event(self, message: Received) -> None:
        error = message.error()
        assert error is not None
        if error.code() == _PARTITION_EOF:
            # Behind the last record there may be transaction markers, which are not records.
            self._positions[TopicPartition(str(message.topic()), int(message.partition() or 0))] = int(message.offset() or 0)
        elif error.code() not in _SAID_ELSEWHERE:
            self._fault = mapped(error, f"reading {message.topic() or ', '.join(self._patterns)}", self._cluster.hint)

    def assignment(self) -> frozenset[TopicPartition]:
        """See `broker.stream.log.Consumer.assignment`."""
        with translate("asking for the assignment", self._cluster.hint):
            return frozenset(TopicPartition(place.topic, place.partition) for place in self._client.assignment())

    def lost(self) -> frozenset[TopicPartition]:
        """See `broker.stream.log.Consumer.lost`."""
        with self._guard:
            lost, self._lost = self._lost, set()
            return frozenset(lost)

    def positions(self) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Consumer.positions`."""
        with self._guard:
            return {place: self._positions[place] for place in self._read}

    def committed(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Consumer.committed`."""
        wanted = [Place(topic, number) for topic, number in places]
        if self._group is None or not wanted:
            return {}
        with self._guard, translate(f"asking for the offsets of {self._group}", self._cluster.hint):
            found = self._client.committed(wanted, ANSWER_SECONDS)
        return {TopicPartition(place.topic, place.partition): place.offset for place in found if place.offset >= 0}

    def pause(self, places: Iterable[TopicPartition]) -> None:
        """See `broker.stream.log.Consumer.pause`."""
        with self._guard, translate("pausing", self._cluster.hint):
            self._client.pause([Place(topic, number) for topic, number in places])

    def seek(self, place: TopicPartition, offset: int) -> None:
        """See `broker.stream.log.Consumer.seek`."""
        target = Place(place.topic, place.partition, offset)
        deadline = time.monotonic() + _SEEK_SECONDS
        with self._guard, translate(f"seeking in {place.topic}/{place.partition}", self._cluster.hint):
            while True:
                try:
                    self._client.seek(target)
                except KafkaException as error:
                    # A partition just assigned cannot be sought in before its first fetch has begun.
                    if error.args[0].code() != _STATE or time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
                else:
                    self._positions[place] = offset
                    return

    def seek_to_time(self, timestamp: int) -> None:
        """See `broker.stream.log.Consumer.seek_to_time`."""
        with self._guard:
            held = self.assignment()
            if not held:
                self._seek_time = timestamp
                return
            with translate("asking for offsets by time", self._cluster.hint):
                asked = [Place(topic, number, timestamp) for topic, number in held]
                timed = self._client.offsets_for_times(asked, ANSWER_SECONDS)
            found = {TopicPartition(place.topic, place.partition): place.offset for place in timed}
            late = self._cluster.offsets({place for place, offset in found.items() if offset < 0}, LATEST)
            for place, offset in (found | late).items():
                self.seek(place, offset)

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See `broker.stream.log.Consumer.commit`."""
        if self._group is None:
            message = "a reader without a group keeps no offsets: give it a group to commit"
            raise UsageError(message)
        gone = offsets.keys() - self.assignment()
        if gone:
            message = f"this member of the group no longer reads {sorted(gone)}: another took over"
            raise LogUnavailableError(message)
        places = [Place(topic, number, offset) for (topic, number), offset in offsets.items()]
        with self._guard, translate(f"committing offsets of {self._group}", self._cluster.hint):
            for place in self._client.commit(offsets=places, asynchronous=False) or ():
                if place.error is not None:
                    raise KafkaException(place.error)

    def group_metadata(self) -> Any:
        """What a transaction needs to know of the group."""
        return self._client.consumer_group_metadata()

    def lag(self) -> dict[TopicPartition, int]:
        """See `broker.stream.log.Consumer.lag`."""
        with self._guard:
            held = self.assignment()
            wanted = {
                TopicPartition(name, number)
                for name, count in self._cluster.topics().items()
                if self._wants(name)
                for number in range(count)
            }
            fresh = wanted - held
            fresh -= self.committed(fresh).keys()
            ends = self._cluster.offsets(held | fresh, LATEST, isolation_level=IsolationLevel.READ_COMMITTED)
            starts = self._starts((held | fresh) - self._positions.keys())
            return {place: max(0, end - self._positions.get(place, starts.get(place, end))) for place, end in ends.items()}

    def _starts(self, places: frozenset[TopicPartition]) -> dict[TopicPartition, int]:
        """Where reading begins in partitions that have not answered yet."""
        first = self._cluster.offsets(places, EARLIEST)
        known = self.committed(places)
        begun = places if self._start == "earliest" else known.keys()
        return {place: max(known.get(place, 0), first[place]) for place in begun}  # retention may have passed the group by

    def close(self) -> None:
        """See `broker.stream.log.Consumer.close`."""
        self.closed = True
        with self._guard, contextlib.suppress(KafkaException, RuntimeError):
            self._client.close()


def _record(message: Received) -> Record:
    value, headers = message.value(), cast("list[tuple[str, bytes | None]] | None", message.headers())
    return Record(
        message.topic(),  # type: ignore[arg-type]  # a message without error has one
        message.partition(),  # type: ignore[arg-type]
        message.offset(),  # type: ignore[arg-type]
        message.timestamp()[1],
        message.key(),
        value if value is not None else b"",
        () if headers is None else tuple((name, content or b"") for name, content in headers),
    )
