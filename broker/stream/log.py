"""The log protocol: what `process` and everything around it ask of Kafka, and no more.

Two engines stand behind it, `broker.stream.embedded` and `broker.stream.kafka`; ``tests/contract/test_log.py`` holds both to
what is written here. Faults that pass are raised as `LogUnavailableError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from broker.record import Message, Record, TopicPartition

__all__ = ["Consumer", "Log", "Publisher", "Start", "TopicSpec", "subscribes"]

Start = Literal["earliest", "latest"]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is made.

    Parameters
    ----------
    partitions
        How far its readers can be spread.
    retention_hours
        How long records are kept; ``None`` for ever.
    compression
        Of the broker's segments: ``producer``, ``none``, ``lz4``, ``zstd``, ``snappy`` or ``gzip``.
    replication
        Copies over brokers; the embedded log has one.
    max_message_bytes
        Largest record taken.
    """

    partitions: int = 1
    retention_hours: float | None = 168.0
    compression: str = "producer"
    replication: int = 1
    max_message_bytes: int = 8_388_608


def subscribes(patterns: Sequence[str], topic: str) -> bool:
    """Whether a subscription has that topic: named, or matched from its start by a pattern that begins with ``^``."""
    return any(re.match(pattern, topic) if pattern.startswith("^") else pattern == topic for pattern in patterns)


class Consumer(Protocol):
    """A member of a consumer group, or a lone reader (group ``None``), reading committed records."""

    def poll(self, max_records: int, max_bytes: int, timeout: float) -> list[Record]:
        """Records in order by partition; at least one unless `timeout` seconds pass, then none.

        Returns as soon as there is something; waits no longer to fill the batch than it takes to drain what is there.
        """

    def assignment(self) -> frozenset[TopicPartition]:
        """Partitions this member now reads."""

    def positions(self) -> dict[TopicPartition, int]:
        """Offset of the next record of each partition read so far."""

    def lost(self) -> frozenset[TopicPartition]:
        """Partitions taken away since this was last asked, even if given back meanwhile: somebody else does their records.

        What the last `poll` returned was read as owner; records of these partitions from earlier polls are to be forgotten.
        """

    def committed(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The group's positions of those partitions, without the ones it has none of; none for group ``None``."""

    def pause(self, places: Iterable[TopicPartition]) -> None:
        """Return no more records of these partitions. A partition that is lost and given back is paused no longer."""

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read that partition from `offset` on."""

    def seek_to_time(self, timestamp: int) -> None:
        """Read every assigned partition from its first record at or after `timestamp` (ms, UTC) on.

        Before the first partitions are assigned, it holds for those when they come.
        """

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep the group's positions (offset of the next record), at once and durably."""

    def lag(self) -> dict[TopicPartition, int]:
        """Records behind the end, by assigned partition; and by partitions just made that nobody of the group has read."""

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""

    def close(self) -> None:
        """Leave the group."""


class Publisher(Protocol):
    """Publishes outputs together with the offsets of the inputs they were made from."""

    def publish(
        self,
        messages: Sequence[Message],
        consumer: Consumer | None = None,
        offsets: Mapping[TopicPartition, int] | None = None,
    ) -> None:
        """All or nothing: a reader sees every message and the group's new offsets, or none of them.

        With nothing to publish it settles what an earlier failure left open; `Consumer.committed` then tells how that ended.

        Raises
        ------
        LogUnavailableError
            The fault may pass, or a partition among `offsets` is another member's by now. Whether the messages are published is
            open until settled.
        FencedError
            A newer publisher has the name.
        """

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""

    def close(self) -> None:
        """Let go of the transaction id."""


class Log(Protocol):
    """A partitioned, durable, append-only log of topics."""

    def create_topic(self, name: str, spec: TopicSpec) -> None:
        """Make a topic; nothing happens where it exists."""

    def topics(self) -> dict[str, int]:
        """Partitions by topic name, without the engine's own topics."""

    def append(self, messages: Sequence[Message]) -> dict[TopicPartition, list[int]]:
        """Append; on return all of them are durable. A missing topic is made with the log's default `TopicSpec`.

        Returns
        -------
        dict
            Their offsets, ascending, by partition.
        """

    def publisher(self, name: str) -> Publisher:
        """Transactional publisher; a newer one of the same name fences off the older."""

    def consumer(self, group: str | None, topics: Sequence[str], start: Start = "earliest") -> Consumer:
        """Reader of named topics; a name that begins with ``^`` is a regular expression, matched again as topics appear.

        `start` says where to begin where the group has no offset. With group ``None`` all partitions are read and nothing
        is kept.
        """

    def bounds(self, topic: str) -> dict[TopicPartition, tuple[int, int]]:
        """First offset kept and the offset the next record will get, by partition."""

    def group_lag(self, group: str) -> dict[TopicPartition, int]:
        """Records a group has yet to read, by partition it has committed."""

    def close(self) -> None:
        """Close everything opened through this log."""
