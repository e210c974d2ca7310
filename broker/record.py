"""What the log carries: a `Message` on its way in, a `Record` on its way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Headers", "Message", "Record", "TopicPartition", "header"]

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes to append to a topic.

    Parameters
    ----------
    topic, value
        Where to, and what.
    key
        Records of one key keep their order; ``None`` spreads over partitions.
    headers
        Name and value pairs, in order.
    timestamp
        Milliseconds since the Unix epoch, UTC; ``None`` for now.
    """

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Headers = ()
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A message as read back from the log, with its origin there.

    Parameters
    ----------
    topic, partition, offset
        The origin: what tells a batch done again from a duplicate.
    timestamp
        Milliseconds since the Unix epoch, UTC.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Headers = ()

    @property
    def place(self) -> TopicPartition:
        """The partition it was read from."""
        return TopicPartition(self.topic, self.partition)


def header(record: Record, name: str) -> str | None:
    """Text of a record's first header of that name, or ``None``."""
    return next((value.decode("utf-8", "replace") for key, value in record.headers if key == name), None)
