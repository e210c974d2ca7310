"""Records of a consumer group that are done elsewhere: taken, and committed once the other side has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.errors import TransientError
from broker.record import Record, TopicPartition
from broker.stream.log import Consumer

__all__ = ["Inbox"]

POLL_SECONDS = 0.5


@dataclass(slots=True)
class Inbox:
    """Records to be told, and the group's place in them.

    Parameters
    ----------
    before
        Where a group that has no place begins; elsewhere it does from the first record.
    most_records, most_bytes
        Of one poll.
    """

    consumer: Consumer
    before: Mapping[TopicPartition, int] = field(default_factory=dict)
    most_records: int = 500
    most_bytes: int = 16 << 20
    known: set[TopicPartition] = field(default_factory=set)
    held: list[Record] = field(default_factory=list)
    open: dict[TopicPartition, int] = field(default_factory=dict)

    def take(self) -> list[Record]:
        """Some records of partitions that are ours; called again after a failure, it passes over none."""
        if not self.held:
            self._poll(POLL_SECONDS)
        fresh = self.consumer.assignment() - self.known
        if fresh:
            without = fresh - self.consumer.committed(fresh).keys()
            begin = {place: offset for place, offset in self.before.items() if place in without}
            if begin:
                self.consumer.commit(begin)  # so that a later start finds it, whatever has come meanwhile
            for place, offset in begin.items():
                self.consumer.seek(place, offset)
            self.held = [record for record in self.held if record.place not in begin]
            self.known |= fresh
        records, self.held = self.held, []
        return records

    def done(self, records: Sequence[Record]) -> None:
        """What is to become of these has."""
        self.open |= {record.place: record.offset + 1 for record in records}

    def commit(self) -> None:
        """Keep the group's place, but for partitions that others have taken over: they send those records again."""
        if self.open:
            try:
                self.consumer.commit(self.open)
            except TransientError:
                self._poll(0.0)  # hears who has which partitions now
                raise
            self.open.clear()

    def _poll(self, timeout: float) -> None:
        polled = self.consumer.poll(self.most_records, self.most_bytes, timeout)
        for place in self.consumer.lost():  # what was polled just now was read as owner, what was before was not
            self.known.discard(place)
            self.open.pop(place, None)
            self.held = [record for record in self.held if record.place != place]
        self.held += polled
