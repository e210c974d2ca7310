"""Which partitions are read, and from where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, TopicPartition

from consumers.options import Options

__all__ = ["Place", "group_start", "new_partitions"]

Place = tuple[str, int]
"""Topic and partition."""

_SECONDS = 10.0  # a question to Kafka may take


def new_partitions(consumer: Consumer, options: Options, known: AbstractSet[Place], *, late: bool) -> list[TopicPartition]:
    """Partitions of the wanted topics that are not yet read, each with the offset to begin at.

    Parameters
    ----------
    late
        Whether we looked before: then what is found came since, and is read from its first record on.
    """
    there = consumer.list_topics(timeout=_SECONDS).topics
    fresh = [
        TopicPartition(name, number)
        for name, topic in there.items()
        if any(_wanted(asked, name) for asked in options.topics)
        for number in topic.partitions
        if (name, number) not in known
    ]
    return _started(consumer, options, fresh, late=late)


def group_start(consumer: Consumer, options: Options, parts: list[TopicPartition]) -> list[TopicPartition]:
    """Partitions as a group begins them: where it stopped, else where the caller wants; offsets by name always count."""
    kept = consumer.committed(parts, timeout=_SECONDS)
    named = options.start_at if isinstance(options.start_at, Mapping) else {}
    begun = [part for part in kept if part.offset >= 0 and (part.topic, part.partition) not in named]
    held = {(part.topic, part.partition) for part in begun}
    rest = [TopicPartition(part.topic, part.partition) for part in parts if (part.topic, part.partition) not in held]
    return [*begun, *_started(consumer, options, rest, late=False)]


def _wanted(asked: str, name: str) -> bool:
    return re.match(asked, name) is not None if asked.startswith("^") else asked == name


def _started(consumer: Consumer, options: Options, parts: Sequence[TopicPartition], *, late: bool) -> list[TopicPartition]:
    start = options.start_at
    if isinstance(start, datetime) and parts:
        asked = [TopicPartition(part.topic, part.partition, int(start.timestamp() * 1000)) for part in parts]
        found = consumer.offsets_for_times(asked, timeout=_SECONDS)
        return [part if part.offset >= 0 else _end(consumer, part) for part in found]
    if isinstance(start, Mapping):
        return [
            TopicPartition(part.topic, part.partition, start.get((part.topic, part.partition), OFFSET_BEGINNING))
            for part in parts
        ]
    if start == "latest" and not late:
        return [_end(consumer, part) for part in parts]
    return [TopicPartition(part.topic, part.partition, OFFSET_BEGINNING) for part in parts]


def _end(consumer: Consumer, part: TopicPartition) -> TopicPartition:
    """The end as it is now: left to the first fetch, records of the meantime would be missed."""
    bounds = consumer.get_watermark_offsets(TopicPartition(part.topic, part.partition), timeout=_SECONDS)
    return TopicPartition(part.topic, part.partition, OFFSET_END if bounds is None else bounds[1])
