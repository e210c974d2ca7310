"""Alerts of the embedded log as the client library gives those of a Kafka: there is no server to ask."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, Self

from broker.record import Record, TopicPartition
from broker.stream.log import Log, subscribes
from consumers import BadRecordError, RequestError
from consumers.alert import Alert, alert_from
from consumers.options import Options
from consumers.schemas import SchemaBook

__all__ = ["LogStream"]

_MOST: Final = 500  # records of one look,
_BYTES: Final = 16 << 20  # and their bytes
_GRACE: Final = 1.0  # seconds after `until` in which a record of before may still be under way


class LogStream:
    """A stream of alerts; see `consumers.options.Stream`.

    Parameters
    ----------
    log
        Read from, and closed with the stream.
    """

    def __init__(self, log: Log, options: Options) -> None:
        self._log, self._options, self._book = log, options, SchemaBook(options.registry, options.schema)
        start = options.start_at
        if isinstance(start, Mapping):
            raise RequestError("start_at is a table of offsets: of a data folder it can be 'earliest', 'latest' or a time")
        if not any(subscribes(options.topics, name) for name in log.topics()):
            options.say(f"no topic {', '.join(options.topics)} yet: waiting for it")
        self._consumer = log.consumer(options.group, options.topics, "latest" if start == "latest" else "earliest")
        if isinstance(start, datetime) and not self._consumer.committed(self._consumer.assignment()):
            self._consumer.seek_to_time(round(start.timestamp() * 1000))
        self._buffer: deque[Record] = deque()
        self._done: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Alert]:
        return self

    def __next__(self) -> Alert:
        while not self.finished:
            if (alert := self.poll()) is not None:
                return alert
        raise StopIteration

    @property
    def finished(self) -> bool:
        """Whether `until` is reached, or the stream is closed."""
        return self._finished or self._consumer.closed

    def poll(self, timeout: float = 1.0) -> Alert | None:
        """The next alert, or ``None`` after `timeout` seconds without one."""
        deadline = time.monotonic() + timeout
        while not self.finished:
            if not self._buffer:
                left = max(0.0, deadline - time.monotonic())
                self._buffer.extend(self._consumer.poll(_MOST, _BYTES, min(left, _GRACE)))
                self._finish_if_over()
            while self._buffer:
                if (alert := self._take(self._buffer.popleft())) is not None:
                    return alert
            if time.monotonic() >= deadline:
                break
        return None

    def commit(self, alert: Alert) -> None:
        """Tell the group that an alert, and all before it in its partition, are done with."""
        self._consumer.commit({TopicPartition(alert.topic, alert.partition): alert.offset + 1})

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on with another record of a partition."""
        place = TopicPartition(topic, partition)
        self._buffer = deque(record for record in self._buffer if record.place != place)
        self._consumer.seek(place, offset)

    def offsets(self) -> dict[tuple[str, int], int]:
        """Offset of the record after the last one handed out, by partition."""
        return {(place.topic, place.partition): offset for place, offset in self._next.items()}

    def lag(self) -> dict[tuple[str, int], int]:
        """Records between what was read and the end, by partition."""
        return {(place.topic, place.partition): behind for place, behind in self._consumer.lag().items()}

    def close(self) -> None:
        """Let go; the group's other members take over."""
        self._consumer.close()
        self._log.close()

    def _take(self, record: Record) -> Alert | None:
        until = self._options.until
        if record.place in self._done:
            return None
        if until is not None and record.timestamp >= until.timestamp() * 1000:
            self._done.add(record.place)
            self._consumer.pause([record.place])
            return None
        self._next[record.place] = record.offset + 1
        try:
            return alert_from(
                self._book.read(record.value),
                topic=record.place.topic,
                partition=record.place.partition,
                offset=record.offset,
                timestamp=datetime.fromtimestamp(record.timestamp / 1000, UTC),
                headers=record.headers,
                _commit=self.commit if self._options.group is not None else None,
            )
        except BadRecordError as error:
            if self._options.on_error == "skip":
                self._options.say(f"skipped {error}")
                return None
            error.data, error.headers, error.offset = record.value, record.headers, record.offset
            error.topic, error.partition = record.place.topic, record.place.partition
            raise

    def _finish_if_over(self) -> None:
        until = self._options.until
        if until is None or self._buffer or time.time() < until.timestamp() + _GRACE:
            return
        lag = self._consumer.lag()
        self._finished = not any(behind for place, behind in lag.items() if place not in self._done)
