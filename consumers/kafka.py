"""Alerts from Kafka topics."""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Self

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from consumers.alert import Alert, alert_from
from consumers.errors import BadRecordError, RequestError, UnavailableError
from consumers.kafka_faults import EOF, Patience, passes
from consumers.kafka_partitions import Place, group_start, new_partitions, seconds
from consumers.kafka_properties import properties
from consumers.options import Options
from consumers.schemas import SchemaBook

__all__ = ["KafkaStream"]

_REFRESH = 5.0  # seconds between looks for new topics and partitions
_GRACE = 1.0  # seconds after `until` in which a record of before may still be under way
_BATCH = 500


class _Raw(NamedTuple):
    """A record as Kafka gave it."""

    place: Place
    offset: int
    stamp: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class KafkaStream:
    """A `consumers.options.Stream` of Kafka topics; see `consumers.subscribe`."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._book = SchemaBook(options.registry, options.schema)
        self._patience = Patience(options)
        self._buffer: deque[_Raw] = deque()
        self._next: dict[Place, int] = {}
        self._ended: set[Place] = set()  # partitions read to their end
        self._done: set[Place] = set()  # partitions read up to `until`
        self._finished = self._closed = False
        self._looked: float | None = None
        self._starts: dict[Place, int] | None = None  # with a group: where what was there on opening begins
        try:
            self._consumer = Consumer(properties(options, self._patience))
        except KafkaException as error:
            raise RequestError(f"Kafka does not take this configuration: {error.args[0].str()}") from error

    def __enter__(self) -> Self:
        self._look()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Alert:
        while not self._finished:
            if (alert := self.poll()) is not None:
                return alert
        raise StopIteration

    @property
    def finished(self) -> bool:
        """Whether `until` is reached, or the stream is closed."""
        return self._finished

    def poll(self, timeout: float = 1.0) -> Alert | None:
        """The next alert, or ``None`` after `timeout` seconds without one.

        Raises
        ------
        BadRecordError
            A record cannot be read; the next call goes on with the one after it. Not with ``on_error="skip"``.
        UnavailableError
            Kafka, or the schema registry, stayed away for longer than the stream's `timeout`.
        """
        deadline = time.monotonic() + timeout
        while not self._finished:
            while self._buffer:
                if (alert := self._take()) is not None:
                    return alert
                if time.monotonic() > deadline:
                    return None
            if (left := deadline - time.monotonic()) <= 0:
                return None
            self._fill(min(left, 0.5))
        return None

    def commit(self, alert: Alert) -> None:
        """Tell the group that an alert, and all before it in its partition, are done with; returns when Kafka has it.

        Raises
        ------
        RequestError
            The stream has no group.
        """
        if self._options.group is None:
            raise RequestError("nothing to commit to: open the stream with a group, subscribe(..., group='name')")
        place = TopicPartition(alert.topic, alert.partition, alert.offset + 1)
        self._patience.insist(lambda: self._consumer.commit(offsets=[place], asynchronous=False))

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on with another record of a partition that is being read.

        Raises
        ------
        RequestError
            The partition is not being read, or not yet.
        """
        self._look()
        place = (topic, partition)
        try:
            self._consumer.seek(TopicPartition(topic, partition, offset))
        except KafkaException as error:
            raise RequestError(f"{topic}[{partition}] is not being read (yet): {error.args[0].str()}") from error
        self._forget({place})
        self._next[place] = offset
        self._consumer.resume([TopicPartition(topic, partition)])

    def offsets(self) -> dict[Place, int]:
        """Offset of the record after the last one handed out, by partition; only of those that gave one."""
        return dict(self._next)

    def lag(self) -> dict[Place, int]:
        """Records between the last one handed out and the end of each partition.

        A partition that gave nothing yet is counted from the group's offset, or from its first record.
        """
        self._look()
        return {place: self._patience.insist(partial(self._behind, place)) for place in self._assigned()}

    def _behind(self, place: Place) -> int:
        part, wait, here = TopicPartition(*place), seconds(self._patience.left()), self._next.get(place)
        low, high = self._consumer.get_watermark_offsets(part, timeout=wait)
        if here is None and self._options.group is not None:
            kept = self._consumer.committed([part], timeout=wait)[0].offset
            here = kept if kept >= 0 else None
        return max(0, high - (low if here is None else here))

    def close(self) -> None:
        """Let go; the group's other members take over."""
        self._finished = True
        if not self._closed:
            self._closed = True
            self._consumer.close()

    def _assigned(self) -> set[Place]:
        return {(part.topic, part.partition) for part in self._consumer.assignment()}

    def _take(self) -> Alert | None:
        raw = self._buffer[0]
        if raw.place in self._done:
            self._buffer.popleft()
            return None
        if self._options.until is not None and raw.stamp >= self._options.until.timestamp() * 1000:
            self._buffer.popleft()
            self._end(raw.place)
            return None
        try:
            alert = self._decode(raw)
        except UnavailableError as error:  # the registry: the record stays first in line
            self._patience.wait(str(error))
            time.sleep(0.2)
            return None
        except BadRecordError as error:
            self._buffer.popleft()
            self._next[raw.place] = raw.offset + 1
            if self._options.on_error == "skip":
                self._options.say(f"skipped {error}")
                return None
            raise
        self._buffer.popleft()
        self._next[raw.place] = raw.offset + 1
        self._patience.heard()
        return alert

    def _decode(self, raw: _Raw) -> Alert:
        try:
            return alert_from(
                self._book.read(raw.value),
                topic=raw.place[0],
                partition=raw.place[1],
                offset=raw.offset,
                timestamp=datetime.fromtimestamp(raw.stamp / 1000, UTC),
                headers=raw.headers,
                _commit=self.commit if self._options.group is not None else None,
            )
        except BadRecordError as error:
            error.data, error.headers, error.offset = raw.value, raw.headers, raw.offset
            error.topic, error.partition = raw.place
            raise

    def _fill(self, timeout: float) -> None:
        self._look()
        try:
            if self._receive(1, timeout):
                self._receive(_BATCH, 0)  # what is there already: to wait for more would make the first late
            elif self._patience.away:
                self._patience.wait()
        except KafkaException as error:
            self._patience.fault(error.args[0])
            return
        self._finish_if_over()

    def _receive(self, count: int, timeout: float) -> bool:
        messages = self._consumer.consume(count, timeout)
        for message in messages:
            place, fault = (message.topic() or "", message.partition() or 0), message.error()
            if fault is None:
                self._ended.discard(place)
                self._buffer.append(_raw(place, message))
            elif fault.code() == EOF:
                self._ended.add(place)
                self._patience.heard()
            else:
                self._patience.fault(fault)
        return bool(messages)

    def _finish_if_over(self) -> None:
        until = self._options.until
        if until is None or self._buffer or time.time() < until.timestamp() + _GRACE:
            return
        there = self._assigned()
        for place in there & self._ended:
            self._end(place)
        # In a group others may hold the partitions now and hand them over later: an empty hand is no end.
        if there <= self._done and (there or self._options.group is None):
            self._finished = True

    def _end(self, place: Place) -> None:
        if place not in self._done:
            self._done.add(place)
            self._consumer.pause([TopicPartition(*place)])

    def _look(self) -> None:
        """Find what partitions there are: with a group once, else every now and then."""
        now = time.monotonic()
        if self._options.group is not None:
            if self._starts is None:
                found = self._patience.insist(self._first_look)
                self._starts = {(part.topic, part.partition): part.offset for part in found}
                self._consumer.subscribe(list(self._options.topics), on_assign=self._on_assign, on_revoke=self._on_revoke)
            return
        if self._looked is not None and now - self._looked < _REFRESH:
            return
        fresh = self._patience.insist(self._first_look if self._looked is None else self._next_look)
        if fresh:
            self._consumer.incremental_assign(fresh)
        elif self._looked is None:
            self._options.say(f"no topic {', '.join(self._options.topics)} yet: waiting for it")
        self._looked = now

    def _first_look(self) -> list[TopicPartition]:
        """What partitions there are, with nothing assigned yet."""
        try:
            return new_partitions(self._consumer, self._patience.left(), set(), late=False)
        except KafkaException:
            said = self._consumer.poll(0)  # hears what the client complains of, such as our password; no record can come
            if said is not None and (fault := said.error()) is not None and not passes(fault):
                raise KafkaException(fault) from None
            raise

    def _next_look(self) -> list[TopicPartition]:
        return new_partitions(self._consumer, self._patience.left(), self._assigned(), late=True)

    def _on_assign(self, consumer: Consumer, parts: list[TopicPartition]) -> None:
        starts = self._starts or {}
        consumer.assign(self._patience.insist(lambda: group_start(consumer, self._patience.left(), parts, starts)))

    def _on_revoke(self, _consumer: Consumer, parts: list[TopicPartition]) -> None:
        self._forget({(part.topic, part.partition) for part in parts})

    def _forget(self, places: set[Place]) -> None:
        self._buffer = deque(raw for raw in self._buffer if raw.place not in places)
        self._ended -= places
        self._done -= places
        for place in places:
            self._next.pop(place, None)


def _raw(place: Place, message: Message) -> _Raw:
    pairs: Any = message.headers() or ()
    headers = tuple((str(pair[0]), _bytes(pair[1])) for pair in pairs)
    return _Raw(place, message.offset() or 0, message.timestamp()[1], _bytes(message.value()), headers)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value or b"")
