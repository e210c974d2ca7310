"""Which partitions are read, and from where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, TopicPartition

from consumers.errors import ClientError
from consumers.options import Options

__all__ = ["Place", "group_start", "new_partitions", "seconds"]

Place = tuple[str, int]
"""Topic and partition."""


def seconds(options: Options) -> float:
    """How long a question to Kafka may take."""
    return min(10.0, options.timeout or 10.0)


def new_partitions(consumer: Consumer, options: Options, known: AbstractSet[Place], *, late: bool) -> list[TopicPartition]:
    """Partitions of the wanted topics that are not yet read, each with the offset to begin at.

    Parameters
    ----------
    late
        Whether we looked before: then what is found came since, and is read from its first record on.

    Raises
    ------
    ClientError
        A topic may not be read.
    """
    there = consumer.list_topics(timeout=seconds(options)).topics
    if options.config.get("sasl.username"):
        for name in options.topics:
            if not name.startswith("^") and name not in there:
                _see(consumer, options, name)
    fresh = [
        TopicPartition(name, number)
        for name, topic in there.items()
        if any(_wanted(asked, name) for asked in options.topics)
        for number in topic.partitions
        if (name, number) not in known
    ]
    return _started(consumer, options, fresh, late=late)


def group_start(
    consumer: Consumer, options: Options, parts: list[TopicPartition], starts: Mapping[Place, int]
) -> list[TopicPartition]:
    """Partitions as a group begins them: where it stopped, else where the caller wants; offsets by name always count.

    Parameters
    ----------
    starts
        Where the caller wants to begin the partitions that were there when he opened the stream. Others came since, and are
        read from their first record on.
    """
    kept = consumer.committed(parts, timeout=seconds(options))
    named = options.start_at if isinstance(options.start_at, Mapping) else {}
    begun = [part for part in kept if part.offset >= 0 and (part.topic, part.partition) not in named]
    held = {(part.topic, part.partition) for part in begun}
    rest = [(part.topic, part.partition) for part in parts if (part.topic, part.partition) not in held]
    known = [TopicPartition(*place, starts[place]) for place in rest if place in starts]
    late = [TopicPartition(*place) for place in rest if place not in starts]
    return [*begun, *known, *_started(consumer, options, late, late=True)]


def _see(consumer: Consumer, options: Options, name: str) -> None:
    """Tell a topic that is not there yet from one that is not shown to us: lists of all topics leave out both."""
    told = consumer.list_topics(name, timeout=seconds(options)).topics[name].error
    if told is not None and told.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        who, servers = options.config["sasl.username"], options.bootstrap_servers
        raise ClientError(f"Kafka at {servers} does not let {who} read {name}: ask whoever runs it for leave")


def _wanted(asked: str, name: str) -> bool:
    return re.match(asked, name) is not None if asked.startswith("^") else asked == name


def _started(consumer: Consumer, options: Options, parts: Sequence[TopicPartition], *, late: bool) -> list[TopicPartition]:
    start = options.start_at
    if isinstance(start, datetime) and parts:
        asked = [TopicPartition(part.topic, part.partition, int(start.timestamp() * 1000)) for part in parts]
        found = consumer.offsets_for_times(asked, timeout=seconds(options))
        return [part if part.offset >= 0 else _end(consumer, options, part) for part in found]
    if isinstance(start, Mapping):
        places = [(part.topic, part.partition) for part in parts]
        return [TopicPartition(*place, start.get(place, OFFSET_BEGINNING)) for place in places]
    if start == "latest" and not late:
        return [_end(consumer, options, part) for part in parts]
    return [TopicPartition(part.topic, part.partition, OFFSET_BEGINNING) for part in parts]


def _end(consumer: Consumer, options: Options, part: TopicPartition) -> TopicPartition:
    """The end as it is now: left to the first fetch, records of the meantime would be missed."""
    bounds = consumer.get_watermark_offsets(TopicPartition(part.topic, part.partition), timeout=seconds(options))
    return TopicPartition(part.topic, part.partition, OFFSET_END if bounds is None else bounds[1])
